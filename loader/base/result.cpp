// SPDX-License-Identifier: Apache-2.0
#include "loader/base/result.hpp"

#include <cstring>

namespace sheath {

Error Error::system(int error_number) {
  const char* words = strerrordesc_np(error_number);
  Error error(std::string(words != nullptr ? words : "Unknown error") + " (" + errno_name(error_number) + ")");
  error.error_number_ = error_number;
  return error;
}

Error Error::system(std::string_view doing, int error_number) {
  return system(error_number).context(doing);
}

Error Error::context(std::string_view doing) && {
  what_.insert(0, std::string(doing) + ": ");
  return std::move(*this);
}

Error Error::detail(std::string_view text) && {
  what_.append(": ").append(text);
  return std::move(*this);
}

Error Error::hint(std::string_view text) && {
  if (hint_.empty()) hint_ = text;
  return std::move(*this);
}

std::string errno_name(int error_number) {
  const char* name = strerrorname_np(error_number);
  return name != nullptr ? name : std::to_string(error_number);
}

}  // namespace sheath
