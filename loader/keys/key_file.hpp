// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "loader/base/result.hpp"
#include "loader/keys/wireguard_key.hpp"

namespace sheath::keys {

// Reads a private key as `wg genkey` writes it: one line of base64. Refuses a file that group or others may read. An
// absent file is the one error with error_number() == ENOENT; all errors name the file and none holds its content.
Result<PrivateKey> load_private_key(const std::filesystem::path& path);

// The same, but an absent file is made first: mode 0600, its folder 0700 where that is absent too, complete and on
// disk before it has its name. When two processes do so at once, both return the same key.
Result<PrivateKey> load_or_create_private_key(const std::filesystem::path& path);

}  // namespace sheath::keys
