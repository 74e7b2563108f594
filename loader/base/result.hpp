// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

// Errors are values. A function that can fail returns Result<T>; its caller adds what it was doing and passes the
// error up; the top prints it once:
//
//   Result<int> open_device(const std::string& name) {
//     auto fd = open_file(path);
//     if (!fd) return fail(std::move(fd.error()).context("open device " + name));
//     ...
//   }
//
//   attach uplink_egress to eth0: add clsact qdisc: Operation not permitted (EPERM)
//   hint: needs CAP_NET_ADMIN
namespace sheath {

// Whose fault it is decides the exit code: a misuse (bad input, exit 2) or a failure (exit 1).
enum class ErrorKind { kFailure, kMisuse };

class Error {
 public:
  explicit Error(std::string what, ErrorKind kind = ErrorKind::kFailure) : what_(std::move(what)), kind_(kind) {}

  // An error of the kernel or the C library: `error_number` is a positive errno value.
  static Error system(std::string_view doing, int error_number);
  static Error system(int error_number);
  static Error misuse(std::string what) { return Error(std::move(what), ErrorKind::kMisuse); }

  // Puts "doing: " before the text. These three return by value, so that error = std::move(error).hint(...) is sound.
  Error context(std::string_view doing) &&;
  // Puts ": text" behind the text: what the kernel had to say beyond the number.
  Error detail(std::string_view text) &&;
  // A line for the person who has to mend it; the innermost hint wins.
  Error hint(std::string_view text) &&;

  const std::string& what() const { return what_; }
  const std::string& hint() const { return hint_; }
  ErrorKind kind() const { return kind_; }
  // The errno value behind it, or 0.
  int error_number() const { return error_number_; }

 private:
  std::string what_;
  std::string hint_;
  ErrorKind kind_;
  int error_number_ = 0;
};

template <typename T = void>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(Error error) {
  return std::unexpected<Error>(std::move(error));
}
inline std::unexpected<Error> fail(std::string what) {
  return fail(Error(std::move(what)));
}

// "ENOENT" for 2; the number as text for one without a name.
std::string errno_name(int error_number);

}  // namespace sheath
