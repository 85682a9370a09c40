// SPDX-License-Identifier: Apache-2.0
#include "text.hpp"

#include <Poco/UTF8Encoding.h>

#include <algorithm>
#include <cstdint>

namespace hedwig::auth_oauth {

namespace {

constexpr std::size_t name_octets_max = 255;

char to_lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

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

bool is_valid_utf8(std::string_view text) {
  Poco::UTF8Encoding utf8;
  for (std::size_t i = 0; i < text.size();) {
    auto* at = reinterpret_cast<const unsigned char*>(text.data()) + i;
    auto left = text.size() - i;
    auto octets = *at < 0x80 ? 1U : *at < 0xE0 ? 2U : *at < 0xF0 ? 3U : 4U;
    if (left < octets || !Poco::UTF8Encoding::isLegal(at, static_cast<int>(octets)))
      return false;
    i += octets;
  }
  return true;
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

std::string lower(std::string_view text) {
  std::string out{text};
  std::ranges::transform(out, out.begin(), to_lower);
  return out;
}

bool same_text(std::string_view a, std::string_view b) noexcept {
  return std::ranges::equal(a, b, {}, to_lower, to_lower);
}

bool is_name(std::string_view text) noexcept {
  return !text.empty() && text.size() <= name_octets_max && is_valid_utf8(text) &&
         std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 32 || c == 127; });
}

} // namespace hedwig::auth_oauth
