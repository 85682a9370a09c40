// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <iterator>

#include "runtime/telemetry/log.hpp"

namespace hedwig::telemetry {
namespace {

struct sequence {
  std::size_t length = 1;
  bool printable = false;
};

// Well-formed UTF-8 by RFC 3629 section 4: no overlong forms, no surrogates, nothing above U+10FFFF. C1 controls and
// the two line separators are well-formed but end a line or steer a terminal somewhere, so they are not printable.
sequence utf8_at(std::string_view text, std::size_t at) noexcept {
  const auto byte = [&](std::size_t index) -> unsigned {
    return index < text.size() ? static_cast<unsigned char>(text[index]) : 0;
  };
  const auto tail = [&](std::size_t index) { return (byte(index) & 0xC0) == 0x80; };
  const unsigned lead = byte(at);
  const unsigned second = byte(at + 1);
  if (lead >= 0xC2 && lead <= 0xDF && tail(at + 1))
    return {2, !(lead == 0xC2 && second < 0xA0)};
  if (lead >= 0xE0 && lead <= 0xEF && tail(at + 1) && tail(at + 2)) {
    if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F))
      return {1, false};
    const unsigned code = (lead & 0x0F) << 12 | (second & 0x3F) << 6 | (byte(at + 2) & 0x3F);
    const bool steers =
        code == 0x2028 || code == 0x2029 || (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
    return {3, !steers};
  }
  if (lead >= 0xF0 && lead <= 0xF4 && tail(at + 1) && tail(at + 2) && tail(at + 3)) {
    if ((lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F))
      return {1, false};
    return {4, true};
  }
  return {1, false};
}

unsigned code_point(std::string_view bytes) noexcept {
  const auto part = [&](std::size_t index) { return static_cast<unsigned char>(bytes[index]) & 0x3Fu; };
  if (bytes.size() == 2)
    return (static_cast<unsigned char>(bytes[0]) & 0x1Fu) << 6 | part(1);
  return (static_cast<unsigned char>(bytes[0]) & 0x0Fu) << 12 | part(1) << 6 | part(2);
}

void append_ascii(std::string& out, char c) {
  switch (c) {
  case '"':
  case '\\':
    out += '\\';
    out += c;
    return;
  case '\n':
    out += "\\n";
    return;
  case '\r':
    out += "\\r";
    return;
  case '\t':
    out += "\\t";
    return;
  default:
    if (c >= 0x20 && c < 0x7F)
      out += c;
    else
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
  }
}

} // namespace

void append_escaped(std::string& out, std::string_view text, std::size_t size_max) {
  std::size_t at = 0;
  while (at < text.size()) {
    const auto c = text[at];
    const auto unit = static_cast<unsigned char>(c) < 0x80 ? sequence{1, true} : utf8_at(text, at);
    if (at + unit.length > size_max) {
      out += "…";
      return;
    }
    if (static_cast<unsigned char>(c) < 0x80)
      append_ascii(out, c);
    else if (unit.printable)
      out.append(text, at, unit.length);
    else if (unit.length == 1)
      // A lone byte has no code point; JSON has no other way to say so than U+FFFD.
      out += "\\ufffd";
    else
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", code_point(text.substr(at, unit.length)));
    at += unit.length;
  }
}

} // namespace hedwig::telemetry
