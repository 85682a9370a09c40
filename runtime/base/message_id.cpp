// SPDX-License-Identifier: Apache-2.0
#include "runtime/base/message_id.hpp"

#include <array>

namespace hedwig {

namespace {

constexpr std::string_view alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr std::size_t text_size = 26; // 130 bits: the first character holds only three of the 128

int value_of(char c) noexcept {
  if (c >= 'a' && c <= 'z')
    c = static_cast<char>(c - 'a' + 'A');
  auto at = alphabet.find(c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

} // namespace

message_id message_id::make(wall_time now, std::uint64_t random) noexcept {
  message_id id;
  auto time = static_cast<std::uint64_t>(now.time_since_epoch().count());
  for (int i = 0; i < 8; ++i) {
    id.raw.bytes[i] = static_cast<std::uint8_t>(time >> (56 - 8 * i));
    id.raw.bytes[8 + i] = static_cast<std::uint8_t>(random >> (56 - 8 * i));
  }
  return id;
}

std::string message_id::text() const {
  std::string out(text_size, '0');
  // Two zero bits stand before the 128, so that 130 divide into groups of five.
  unsigned pending = 0;
  int bits = 2;
  std::size_t at = 0;
  for (auto byte : raw.bytes) {
    pending = (pending << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      out[at++] = alphabet[(pending >> bits) & 31];
    }
    pending &= 31;
  }
  return out;
}

std::optional<message_id> message_id::parse(std::string_view text) noexcept {
  if (text.size() != text_size || value_of(text[0]) > 7)
    return std::nullopt;
  message_id id;
  unsigned pending = 0;
  int bits = -2;
  std::size_t at = 0;
  for (char c : text) {
    auto value = value_of(c);
    if (value < 0)
      return std::nullopt;
    pending = (pending << 5) | static_cast<unsigned>(value);
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      id.raw.bytes[at++] = static_cast<std::uint8_t>(pending >> bits);
      pending &= (1u << bits) - 1;
    }
  }
  return id;
}

} // namespace hedwig
