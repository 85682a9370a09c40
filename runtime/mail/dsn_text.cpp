// SPDX-License-Identifier: Apache-2.0
#include "runtime/mail/dsn_text.hpp"

#include <algorithm>
#include <cstdint>

namespace hedwig::mail {
namespace {

/// Bytes of input looked at for each byte of output that is allowed, so that a megabyte of spaces costs nothing.
constexpr std::size_t input_factor = 4;
constexpr std::string_view cut_mark = "...";
constexpr std::size_t fold_at = 76;
constexpr std::size_t word_max = 900;

struct character {
  std::uint32_t code_point = 0;
  std::size_t length = 0; ///< 0: not UTF-8
};

std::size_t sequence_length(unsigned char lead) {
  if (lead < 0x80)
    return 1;
  if (lead >= 0xC2 && lead <= 0xDF)
    return 2;
  if (lead >= 0xE0 && lead <= 0xEF)
    return 3;
  return lead >= 0xF0 && lead <= 0xF4 ? 4 : 0;
}

/// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
character decode(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  const std::size_t length = sequence_length(lead);
  if (length <= 1)
    return {lead, length};
  if (text.size() < length)
    return {};
  std::uint32_t code_point = lead & (0x7FU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte & 0xC0U) != 0x80U)
      return {};
    code_point = code_point << 6U | (byte & 0x3FU);
  }
  const bool overlong = (length == 3 && code_point < 0x800) || (length == 4 && code_point < 0x10000);
  const bool surrogate = code_point >= 0xD800 && code_point <= 0xDFFF;
  if (overlong || surrogate || code_point > 0x10FFFF)
    return {};
  return {code_point, length};
}

/// Spaces, everything that ends a line somewhere, and what turns the direction of the text around it.
bool becomes_space(std::uint32_t c) {
  return c <= 0x20 || (c >= 0x7F && c <= 0xA0) || c == 0x2028 || c == 0x2029 || (c >= 0x202A && c <= 0x202E) ||
         (c >= 0x2066 && c <= 0x2069) || c == 0xFEFF;
}

void cut(std::string& text, std::size_t bytes_max) {
  std::size_t keep = bytes_max > cut_mark.size() ? bytes_max - cut_mark.size() : 0;
  while (keep > 0 && (static_cast<unsigned char>(text[keep]) & 0xC0U) == 0x80U)
    --keep;
  text.resize(keep);
  while (text.ends_with(' '))
    text.pop_back();
  text += cut_mark.substr(0, bytes_max);
}

std::size_t character_start(std::string_view text, std::size_t at) {
  while (at > 0 && at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80U)
    --at;
  return at;
}

} // namespace

std::string sanitise_peer_text(std::string_view text, std::size_t bytes_max) {
  std::string out;
  const std::size_t input_max = bytes_max * input_factor + 16;
  const bool input_cut = text.size() > input_max;
  text = text.substr(0, input_max);
  while (!text.empty() && out.size() <= bytes_max) {
    const character c = decode(text);
    if (c.length == 0) {
      out += '?';
    } else if (becomes_space(c.code_point)) {
      if (!out.empty() && out.back() != ' ')
        out += ' ';
    } else {
      out += text.substr(0, c.length);
    }
    text.remove_prefix(std::max<std::size_t>(c.length, 1));
  }
  while (out.ends_with(' '))
    out.pop_back();
  if (out.size() > bytes_max)
    cut(out, bytes_max);
  else if (input_cut && out.size() + cut_mark.size() <= bytes_max)
    out += cut_mark;
  return out;
}

std::string ascii_only(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80)
      out += c;
    else if ((byte & 0xC0U) != 0x80U)
      out += '?';
  }
  return out;
}

std::string folded_field(std::string_view name, std::string_view value) {
  std::string out{name};
  out += ": ";
  std::size_t column = out.size();
  bool fresh = true; // nothing of the value on this line yet: folding here would leave an empty line
  while (!value.empty()) {
    std::size_t end = std::min(value.find(' ', 1), value.size()); // a word with the space before it
    if (end > word_max)
      end = character_start(value, word_max);
    if (!fresh && column + end > fold_at) {
      out += "\r\n";
      if (value.front() != ' ')
        out += ' ';
      column = value.front() == ' ' ? 0 : 1;
    }
    out += value.substr(0, end);
    column += end;
    value.remove_prefix(end);
    fresh = false;
  }
  out += "\r\n";
  return out;
}

} // namespace hedwig::mail
