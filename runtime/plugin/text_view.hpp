// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/base.h>

#include <string_view>

namespace hedwig::plugin {

/// What a plugin hands over: empty where its pointer is null, whatever its size says.
inline std::string_view text_view(hedwig_str from) noexcept {
  return from.data == nullptr ? std::string_view{} : std::string_view{from.data, from.size};
}
inline std::string_view text_view(hedwig_bytes from) noexcept {
  return from.data == nullptr ? std::string_view{}
                              : std::string_view{reinterpret_cast<const char*>(from.data), from.size};
}

} // namespace hedwig::plugin
