// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace hedwig::plugin {

/// Copies a growing struct of the other side into one of ours: fields it does not know are zero, fields we do not know
/// are left out.
template <class T>
[[nodiscard]] T copy_growing(const void* theirs) noexcept {
  T ours{};
  std::uint32_t size = 0;
  std::memcpy(&size, theirs, sizeof size);
  std::memcpy(static_cast<void*>(&ours), theirs, std::min<std::size_t>(size, sizeof ours));
  return ours;
}

} // namespace hedwig::plugin
