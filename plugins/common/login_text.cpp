// SPDX-License-Identifier: Apache-2.0
#include "login_text.hpp"

#include <algorithm>
#include <cstdint>

namespace hedwig::logins {

namespace {

char lower_ascii(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

/// Octets of the well-formed UTF-8 sequence at the start of `text` (RFC 3629); 0: there is none.
std::size_t sequence_length(std::string_view text) {
  auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  auto lead = at(0);
  if (lead < 0x80)
    return 1;
  std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length)
    return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((at(i) & 0xC0) != 0x80)
      return 0;
  auto second = at(1);
  bool overlong = (lead == 0xE0 && second < 0xA0) || (lead == 0xF0 && second < 0x90);
  bool outside = (lead == 0xED && second > 0x9F) || (lead == 0xF4 && second > 0x8F);
  return overlong || outside ? 0 : length;
}

} // namespace

std::string lower(std::string_view text) {
  std::string out{text};
  std::ranges::transform(out, out.begin(), lower_ascii);
  return out;
}

bool same_text(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return lower_ascii(x) == lower_ascii(y); });
}

bool is_name(std::string_view text) {
  if (text.empty() || text.size() > name_octets_max)
    return false;
  while (!text.empty()) {
    auto c = static_cast<std::uint8_t>(text.front());
    auto length = sequence_length(text);
    if (length == 0 || c < 0x20 || c == 0x7F)
      return false;
    text.remove_prefix(length);
  }
  return true;
}

} // namespace hedwig::logins
