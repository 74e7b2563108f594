// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loader/base/address.hpp"
#include "loader/verify/probes.hpp"

// From what was seen of a probe to what is said about it. Pure.
namespace sheath::verify {

struct Sightings {
  unsigned sent = 0;       // how often
  std::string send_error;  // of the last time; empty: this host took it
  bool entered_tunnel = false;
  std::string outer;      // kind of ciphertext that went to the peer meanwhile; empty: none did
  bool answered = false;  // out of the tunnel device
  // Readable on its way out of a device that is not the tunnel's.
  struct InClear {
    std::string device;
    std::optional<IpAddress> source;  // as it was there; absent inside somebody's encapsulation
  };
  std::optional<InClear> in_clear;
};

enum class Verdict { kEncrypted, kPlaintext, kUnreachable };
std::string_view verdict_name(Verdict verdict);

// Once in the clear is in the clear, whatever else was seen. Encrypted is what came back out of the tunnel while
// ciphertext went to the peer; all else proves nothing.
Verdict judge(const Sightings& seen);

struct Finding {
  Probe probe;
  Verdict verdict = Verdict::kUnreachable;
  Sightings seen;
  std::string why;  // empty: encrypted
};

// What a script goes by.
enum class Conclusion { kProven, kNotProven, kPlaintext };
Conclusion conclude(const std::vector<Finding>& findings);

}  // namespace sheath::verify
