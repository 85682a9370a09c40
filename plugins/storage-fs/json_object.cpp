// SPDX-License-Identifier: Apache-2.0
#include "plugins/storage-fs/json_object.hpp"

#include <charconv>

namespace hedwig::storage_fs {

namespace {

constexpr int depth_max = 32;
constexpr std::string_view spaces = " \t\r\n";

void skip_spaces(std::string_view& text) noexcept {
  auto at = text.find_first_not_of(spaces);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at);
}

bool take(std::string_view& text, char wanted) noexcept {
  skip_spaces(text);
  if (!text.starts_with(wanted))
    return false;
  text.remove_prefix(1);
  return true;
}

/// The quotes included; empty when there is no string that ends.
std::string_view take_string(std::string_view& text) noexcept {
  if (!text.starts_with('"'))
    return {};
  for (std::size_t at = 1; (at = text.find_first_of("\"\\", at)) != std::string_view::npos; ++at) {
    if (text[at] == '"') {
      auto found = text.substr(0, at + 1);
      text.remove_prefix(at + 1);
      return found;
    }
    ++at; // what is escaped
  }
  return {};
}

/// An array or object with all that is in it, by its brackets alone.
std::string_view take_nested(std::string_view& text) noexcept {
  auto rest = text;
  int depth = 0;
  while (!rest.empty()) {
    char c = rest.front();
    if (c == '"') {
      if (take_string(rest).empty())
        return {};
      continue;
    }
    depth += (c == '{' || c == '[') - (c == '}' || c == ']');
    rest.remove_prefix(1);
    if (depth > depth_max)
      return {};
    if (depth == 0) {
      auto found = text.substr(0, text.size() - rest.size());
      text = rest;
      return found;
    }
  }
  return {};
}

std::string_view take_value(std::string_view& text) noexcept {
  skip_spaces(text);
  if (text.starts_with('"'))
    return take_string(text);
  if (text.starts_with('{') || text.starts_with('['))
    return take_nested(text);
  auto found = text.substr(0, text.find_first_of(",}] \t\r\n")); // a number, true, false, null
  text.remove_prefix(found.size());
  return found;
}

std::optional<unsigned> take_hex(std::string_view& text) noexcept {
  unsigned value = 0;
  auto digits = text.substr(0, 4);
  auto got = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (digits.size() < 4 || got.ptr != digits.data() + 4)
    return std::nullopt;
  text.remove_prefix(4);
  return value;
}

void append_utf8(std::string& out, unsigned code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
    return;
  }
  int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  static constexpr unsigned first[] = {0, 0xC0, 0xE0, 0xF0};
  out += static_cast<char>(first[more] | (code >> (6 * more)));
  while (more-- > 0)
    out += static_cast<char>(0x80 | ((code >> (6 * more)) & 0x3F));
}

/// What follows "\u"; half a pair is U+FFFD.
bool unescape_code(std::string_view& text, std::string& out) {
  auto code = take_hex(text);
  if (!code)
    return false;
  if (*code >= 0xD800 && *code < 0xDC00 && text.starts_with("\\u")) {
    auto behind = text.substr(2);
    if (auto low = take_hex(behind); low && *low >= 0xDC00 && *low < 0xE000) {
      text = behind;
      append_utf8(out, 0x10000 + ((*code - 0xD800) << 10) + (*low - 0xDC00));
      return true;
    }
  }
  append_utf8(out, *code >= 0xD800 && *code < 0xE000 ? 0xFFFD : *code);
  return true;
}

std::optional<std::string> unescape(std::string_view quoted) {
  static constexpr std::string_view letters = "\"\\/bfnrt";
  static constexpr std::string_view meanings = "\"\\/\b\f\n\r\t";
  auto text = quoted.substr(1, quoted.size() - 2);
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    auto plain = text.substr(0, text.find('\\'));
    out += plain;
    text.remove_prefix(plain.size());
    if (text.size() < 2)
      break;
    char letter = text[1];
    text.remove_prefix(2);
    auto known = letters.find(letter);
    if (known != std::string_view::npos)
      out += meanings[known];
    else if (letter != 'u' || !unescape_code(text, out))
      return std::nullopt;
  }
  return out;
}

std::optional<std::string> octets(std::string_view array) {
  std::string out;
  array.remove_prefix(1);
  if (take(array, ']'))
    return out;
  do {
    unsigned value = 0;
    skip_spaces(array);
    auto got = std::from_chars(array.data(), array.data() + array.size(), value);
    if (got.ec != std::errc{} || value > 255)
      return std::nullopt;
    array.remove_prefix(static_cast<std::size_t>(got.ptr - array.data()));
    out += static_cast<char>(value);
  } while (take(array, ','));
  return take(array, ']') ? std::optional{out} : std::nullopt;
}

} // namespace

std::optional<json_object> json_object::parse(std::string_view text) {
  json_object made;
  if (!take(text, '{'))
    return std::nullopt;
  bool ended = take(text, '}');
  while (!ended) {
    skip_spaces(text);
    auto name = take_string(text);
    if (name.empty() || !take(text, ':'))
      return std::nullopt;
    auto value = take_value(text);
    if (value.empty() || made.members_.size() >= members_max)
      return std::nullopt;
    made.members_.emplace_back(name, value);
    ended = take(text, '}');
    if (!ended && !take(text, ','))
      return std::nullopt;
  }
  skip_spaces(text);
  return text.empty() ? std::optional{std::move(made)} : std::nullopt;
}

std::optional<std::string> json_object::bytes_of(std::string_view name) const {
  for (auto& [quoted, value] : members_)
    if (quoted.substr(1, quoted.size() - 2) == name)
      return value.front() == '"' ? unescape(value) : value.front() == '[' ? octets(value) : std::nullopt;
  return std::nullopt;
}

std::string json_object::without(std::string_view name) const {
  std::string out{'{'};
  for (auto& [quoted, value] : members_) {
    if (quoted.substr(1, quoted.size() - 2) == name)
      continue;
    if (out.size() > 1)
      out += ',';
    out += quoted;
    out += ':';
    out += value;
  }
  for (auto& c : out)
    if (c == '\n' || c == '\r')
      c = ' '; // only between tokens: a string has them escaped
  return out + '}';
}

} // namespace hedwig::storage_fs
