// SPDX-License-Identifier: Apache-2.0
#include "value_template.hpp"

#include <algorithm>
#include <stdexcept>

namespace hedwig::filter_headers {

namespace {

constexpr std::array<std::string_view, variable_count> variable_names{
    "sender", "sender_domain", "identity", "listener", "peer", "peer_name", "helo", "tls", "recipients", "value"};

} // namespace

std::string one_line(std::string_view text, std::size_t octets_max) {
  if (text.size() > octets_max) {
    auto end = octets_max;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80)
      --end;
    text = text.substr(0, end);
  }
  std::string out{text};
  std::ranges::replace_if(
      out, [](char c) { return (c >= 0 && c < ' ') || c == 0x7F; }, ' ');
  auto first = out.find_first_not_of(' ');
  if (first == std::string::npos)
    return {};
  return out.substr(first, out.find_last_not_of(' ') + 1 - first);
}

value_template::part value_template::named(std::string_view name) {
  if (name.size() == 1 && name[0] >= '0' && name[0] <= '9')
    return group{static_cast<std::size_t>(name[0] - '0')};
  auto found = std::ranges::find(variable_names, name);
  if (found == variable_names.end())
    throw std::invalid_argument{"no variable is called {" + std::string{name} + "}"};
  return static_cast<variable>(found - variable_names.begin());
}

value_template::value_template(std::string_view text) {
  std::string literal;
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto c = text[i];
    if ((c >= 0 && c < ' ' && c != '\t') || c == 0x7F)
      throw std::invalid_argument{"a value is one line without control characters"};
    if ((c == '{' || c == '}') && i + 1 < text.size() && text[i + 1] == c) {
      literal += c;
      ++i;
    } else if (c == '{') {
      auto end = text.find('}', i);
      if (end == std::string_view::npos)
        throw std::invalid_argument{"a \"{\" without its \"}\"; write \"{{\" for the character"};
      parts_.emplace_back(std::exchange(literal, {}));
      parts_.push_back(named(text.substr(i + 1, end - i - 1)));
      i = end;
    } else if (c == '}') {
      throw std::invalid_argument{"a \"}\" without its \"{\"; write \"}}\" for the character"};
    } else {
      literal += c;
    }
  }
  parts_.emplace_back(std::move(literal));
}

std::string value_template::expand(const template_values& values) const {
  std::string out;
  for (auto& one : parts_) {
    if (auto* text = std::get_if<std::string>(&one))
      out += *text;
    else if (auto* which = std::get_if<variable>(&one))
      out += one_line(values.of[static_cast<std::size_t>(*which)], variable_max);
    else
      out += one_line(values.groups[std::get<group>(one).number], variable_max);
  }
  return one_line(out, value_max);
}

} // namespace hedwig::filter_headers
