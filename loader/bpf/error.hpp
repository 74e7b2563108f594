// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "loader/base/result.hpp"

namespace sheath::bpf {

// Collects what libbpf prints on this thread while it lives, instead of letting it go to stderr. Nested ones collect
// for the innermost.
class LogCapture {
 public:
  LogCapture();
  ~LogCapture();
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;

  const std::string& text() const { return text_; }
  void append(std::string_view line) { text_ += line; }

 private:
  LogCapture* outer_;
  std::string text_;
};

// An errno value (either sign, as libbpf returns it) with the hint that goes with EPERM.
Error kernel_error(std::string_view doing, int error_number);
// The same with the kernel's words from the log: its extended ack, or the end of the verifier's log as hint.
Error kernel_error(std::string_view doing, int error_number, const LogCapture& log);

}  // namespace sheath::bpf
