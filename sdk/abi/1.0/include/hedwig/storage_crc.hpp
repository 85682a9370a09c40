// SPDX-License-Identifier: Apache-2.0
// hedwig/storage_crc.hpp - CRC-32C (Castagnoli, RFC 3720 appendix B.4), what the stores of this tree put beside their
// data. Header-only; uses the processor's instruction where there is one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace hedwig::sdk {

namespace detail {

constexpr std::array<std::uint32_t, 256> crc32c_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    auto value = i;
    for (int bit = 0; bit < 8; ++bit)
      value = (value >> 1) ^ ((value & 1) != 0 ? 0x82F63B78u : 0u);
    table[i] = value;
  }
  return table;
}

inline std::uint32_t crc32c_portable(std::uint32_t crc, const unsigned char* at, std::size_t size) noexcept {
  static constexpr auto table = crc32c_table();
  while (size-- != 0)
    crc = (crc >> 8) ^ table[(crc ^ *at++) & 255];
  return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) inline std::uint32_t crc32c_sse(std::uint32_t crc, const unsigned char* at,
                                                                  std::size_t size) noexcept {
  std::uint64_t wide = crc;
  for (; size >= 8; at += 8, size -= 8) {
    std::uint64_t word;
    std::memcpy(&word, at, sizeof word);
    wide = __builtin_ia32_crc32di(wide, word);
  }
  crc = static_cast<std::uint32_t>(wide);
  while (size-- != 0)
    crc = __builtin_ia32_crc32qi(crc, *at++);
  return crc;
}
#endif

} // namespace detail

/// Continues `crc` (0 at first) over `text`: crc32c(b, crc32c(a)) is the sum over a and b.
inline std::uint32_t crc32c(std::string_view text, std::uint32_t crc = 0) noexcept {
  auto* at = reinterpret_cast<const unsigned char*>(text.data());
#if defined(__x86_64__)
  static const bool fast = __builtin_cpu_supports("sse4.2") != 0;
  if (fast)
    return ~detail::crc32c_sse(~crc, at, text.size());
#endif
  return ~detail::crc32c_portable(~crc, at, text.size());
}

} // namespace hedwig::sdk
