// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <string_view>

namespace hedwig::queue {

/// Whether a stored path may be written into a command: no control characters, no longer than a command line.
[[nodiscard]] inline bool is_path_text(std::string_view text) noexcept {
  return text.size() <= 1024 && std::ranges::none_of(text, [](char c) {
           auto byte = static_cast<unsigned char>(c);
           return byte < 0x20 || byte == 0x7f;
         });
}

} // namespace hedwig::queue
