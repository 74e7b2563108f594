// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// Bytes as text (RFC 4648). Decoding is strict and its failure says nothing of the input, which may be a key: the
// caller names the field. Decoded keys are the caller's to wipe.
namespace sheath {

// Standard alphabet, with padding, no line breaks: 32 bytes are 44 characters.
std::string base64_encode(std::span<const std::uint8_t> bytes);
// nullopt for anything that base64_encode would not have written: wrong alphabet, length or padding, white space,
// bits set behind the last byte.
std::optional<std::vector<std::uint8_t>> base64_decode(std::string_view text);

// Two lower-case digits a byte.
std::string hex_encode(std::span<const std::uint8_t> bytes);
// Either case; nullopt for an odd number of digits or anything else.
std::optional<std::vector<std::uint8_t>> hex_decode(std::string_view text);

}  // namespace sheath
