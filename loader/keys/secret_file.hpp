// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <span>
#include <string>

#include "loader/base/result.hpp"
#include "loader/keys/secret.hpp"

namespace sheath::keys {

// What a file of secrets may be: `what` names it in errors ("private key /var/lib/…"), `forbidden` are the permission
// bits it must not have, `max_bytes` bounds it.
struct SecretFileRules {
  std::string what;
  mode_t forbidden = 077;
  std::size_t max_bytes = 256;
};

// A file's content in secret memory, and how much of that memory it fills.
struct SecretContent {
  SecretBuffer buffer;
  std::size_t length = 0;

  std::span<const char> text() const { return buffer.chars().first(length); }
  // Without line ends and blanks at its end.
  std::span<const char> trimmed() const;
};

// Symbolic links are followed. An absent file is the error with error_number() == ENOENT.
Result<SecretContent> read_secret_file(const std::filesystem::path& path, const SecretFileRules& rules);

}  // namespace sheath::keys
