// SPDX-License-Identifier: Apache-2.0
#include "text.hpp"

#include <cstdint>

namespace hedwig::auth_oauth {

namespace {

int digit_of(char c) noexcept {
  if (c >= 'A' && c <= 'Z')
    return c - 'A';
  if (c >= 'a' && c <= 'z')
    return c - 'a' + 26;
  if (c >= '0' && c <= '9')
    return c - '0' + 52;
  return c == '-' ? 62 : c == '_' ? 63 : -1;
}

bool is_unreserved(char c) noexcept {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

} // namespace

std::optional<std::string> decode_base64url(std::string_view text) {
  std::string out;
  out.reserve(text.size() / 4 * 3 + 2);
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (char c : text) {
    auto digit = digit_of(c);
    if (digit < 0)
      return std::nullopt;
    bits = (bits << 6 | static_cast<std::uint32_t>(digit)) & 0xFFFFFF;
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += static_cast<char>(bits >> count & 0xFF);
    }
  }
  if (text.size() % 4 == 1 || (bits & ((1U << count) - 1)) != 0)
    return std::nullopt;
  return out;
}

std::string form_encoded(std::string_view text) {
  constexpr char hex[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size() * 3);
  for (char c : text) {
    auto octet = static_cast<unsigned char>(c);
    if (is_unreserved(c))
      out += c;
    else
      out.append({'%', hex[octet >> 4], hex[octet & 15]});
  }
  return out;
}

} // namespace hedwig::auth_oauth
