// SPDX-License-Identifier: Apache-2.0
#include "text.hpp"

#include <algorithm>
#include <cstdint>

namespace hedwig::auth_ldap {

namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";

void append_hex(std::string& out, char c) {
  auto byte = static_cast<std::uint8_t>(c);
  out += '\\';
  out += hex_digits[byte >> 4];
  out += hex_digits[byte & 15];
}

bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

int hex_value(char c) {
  auto at = hex_digits.find(c >= 'A' && c <= 'F' ? static_cast<char>(c + 32) : c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

} // namespace

std::string escape_filter(std::string_view text) {
  std::string out;
  for (auto c : text) {
    if (is_letter_or_digit(c) || std::string_view{" .@_-+=,:;/'"}.find(c) != std::string_view::npos)
      out += c;
    else
      append_hex(out, c);
  }
  return out;
}

std::string escape_dn(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto c = text[i];
    bool inner_space = c == ' ' && i > 0 && i + 1 < text.size();
    if (is_letter_or_digit(c) || inner_space || std::string_view{".@_-:/'"}.find(c) != std::string_view::npos)
      out += c;
    else
      append_hex(out, c);
  }
  return out;
}

std::string fill(std::string_view pattern, const std::vector<substitution>& values) {
  std::string out;
  while (!pattern.empty()) {
    auto open = pattern.find('{');
    auto close = pattern.find('}', open);
    if (close == std::string_view::npos)
      break;
    out += pattern.substr(0, open);
    auto name = pattern.substr(open + 1, close - open - 1);
    auto found = std::ranges::find(values, name, &substitution::first);
    out += found == values.end() ? pattern.substr(open, close - open + 1) : found->second;
    pattern.remove_prefix(close + 1);
  }
  return out += pattern;
}

std::optional<std::string> unknown_placeholder(std::string_view pattern, const std::vector<std::string_view>& known) {
  for (auto open = pattern.find('{'); open != std::string_view::npos; open = pattern.find('{', open + 1)) {
    auto close = pattern.find('}', open);
    auto name = pattern.substr(open + 1, close == std::string_view::npos ? close : close - open - 1);
    if (close == std::string_view::npos || std::ranges::find(known, name) == known.end())
      return std::string{name};
  }
  return std::nullopt;
}

std::string first_value(std::string_view dn) {
  auto equals = dn.find('=');
  if (equals == std::string_view::npos)
    return {};
  std::string out;
  for (std::size_t i = equals + 1; i < dn.size() && dn[i] != ',' && dn[i] != '+'; ++i) {
    if (dn[i] != '\\' || i + 1 == dn.size()) {
      out += dn[i];
      continue;
    }
    auto high = hex_value(dn[i + 1]);
    auto low = i + 2 < dn.size() ? hex_value(dn[i + 2]) : -1;
    if (high >= 0 && low >= 0) {
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += dn[++i];
    }
  }
  return out;
}

} // namespace hedwig::auth_ldap
