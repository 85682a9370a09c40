// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/test.hpp"

#include <hedwig/base.h>

#include <array>

namespace hedwig::check {

std::string name_of(std::int32_t status) {
  static constexpr std::array names{
      "HEDWIG_OK",          "HEDWIG_E_BUSY",      "HEDWIG_E_UNAVAILABLE", "HEDWIG_E_TIMEOUT",
      "HEDWIG_E_CANCELLED", "HEDWIG_E_NOT_FOUND", "HEDWIG_E_EXISTS",      "HEDWIG_E_CONFLICT",
      "HEDWIG_E_DENIED",    "HEDWIG_E_INVALID",   "HEDWIG_E_UNSUPPORTED", "HEDWIG_E_NO_SPACE",
      "HEDWIG_E_IO",        "HEDWIG_E_CORRUPT",   "HEDWIG_E_CONFIG",      "HEDWIG_E_INTERNAL"};
  static_assert(-HEDWIG_E_INTERNAL + 1 == names.size());
  if (status > 0 || status < HEDWIG_E_INTERNAL)
    return fmt::format("status {}", status);
  return names[static_cast<std::size_t>(-status)];
}

} // namespace hedwig::check
