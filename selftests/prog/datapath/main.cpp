// SPDX-License-Identifier: Apache-2.0
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include "selftests/harness/devices.hpp"

int main(int argc, char** argv) {
  constexpr int kSkip = 4;
  if (!sheath::test::enter_own_network()) return kSkip;
  return doctest::Context(argc, argv).run();
}
