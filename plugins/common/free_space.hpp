// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace hedwig::stores {

/// Why a store takes no mail while its file system has `free` octets, of which `reserve` are to stay.
inline std::string too_little_free(std::uint64_t free, std::uint64_t reserve) {
  constexpr std::uint64_t mebibyte = 1024 * 1024;
  return "its file system has " + std::to_string(free / mebibyte) + " MiB free, and " +
         std::to_string((reserve + mebibyte - 1) / mebibyte) +
         " MiB are kept back (queue.disk_reserve_bytes): make room; mail is taken again by itself then";
}

} // namespace hedwig::stores
