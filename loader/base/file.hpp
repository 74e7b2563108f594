// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "loader/base/result.hpp"

namespace sheath {

// The whole file. Errors name the path. `max_bytes` bounds what a wrong path (/dev/zero) can cost.
Result<std::string> read_file(const std::filesystem::path& path, std::size_t max_bytes = 64u << 20);

// Replaces the file in one rename: a reader sees the old content or the new, never a part; content and name are on
// disk (fsync of file and folder) when it returns. The file gets `mode` whatever the umask says.
Result<> write_file_atomically(const std::filesystem::path& path, std::string_view content, mode_t mode);

// mkdir -p; folders it makes get `mode`.
Result<> make_directories(const std::filesystem::path& path, mode_t mode = 0755);

}  // namespace sheath
