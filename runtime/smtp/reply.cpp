// SPDX-License-Identifier: Apache-2.0
#include "runtime/smtp/reply.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace hedwig::smtp {

namespace {

// Where to cut a line of at most `room` octets: behind a word where there is one, never inside a character.
std::size_t line_break(std::string_view text, std::size_t room) noexcept {
  if (text.size() <= room)
    return text.size();
  auto space = text.substr(0, room).rfind(' ');
  if (space != std::string_view::npos && space > room / 2)
    return space + 1;
  while (room > 1 && (static_cast<unsigned char>(text[room]) & 0xC0) == 0x80)
    --room;
  return room;
}

void append_clean(std::string& out, std::string_view text, bool utf8) {
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    out += byte < 32 || byte == 127 || (byte >= 128 && !utf8) ? '?' : c;
  }
}

// "250-2.1.5 " with the mark that says whether more lines follow at position 3.
struct line_prefix {
  std::array<char, 32> bytes;
  std::size_t size;

  line_prefix(int code, enhanced_status enhanced) {
    auto* end = fmt::format_to(bytes.data(), "{:03} ", std::clamp(code, 200, 599));
    if (!enhanced.empty())
      end = fmt::format_to(end, "{}.{}.{} ", enhanced.status_class, enhanced.subject, enhanced.detail);
    size = static_cast<std::size_t>(end - bytes.data());
  }
};

void append_lines(std::string& out, const line_prefix& prefix, std::string_view text, bool utf8) {
  const auto room = reply_line_octets_max - prefix.size - 2;
  utf8 = utf8 && mail::is_utf8(text);
  std::size_t last = 0;
  for (std::size_t lines = 0; lines < reply_lines_max; ++lines) {
    auto line = text.substr(0, text.find('\n'));
    auto cut = line_break(line, room);
    last = out.size() + 3;
    out.append(prefix.bytes.data(), prefix.size);
    out[last] = '-';
    append_clean(out, line.substr(0, cut), utf8);
    out += "\r\n";
    text.remove_prefix(cut == line.size() ? std::min(cut + 1, text.size()) : cut);
    if (text.empty())
      break;
  }
  out[last] = ' ';
}

} // namespace

std::string enhanced_status::text() const {
  return empty() ? std::string{} : fmt::format("{}.{}.{}", status_class, subject, detail);
}

void append_wire(std::string& out, const reply& what, bool utf8) {
  append_lines(out, {what.code, what.enhanced}, what.text, utf8);
}

void append_wire(std::string& out, const standard_reply& what) {
  // The fast way: fixed texts are clean, short and of one line.
  line_prefix prefix{what.code, what.enhanced};
  out.append(prefix.bytes.data(), prefix.size);
  out.append(what.text);
  out += "\r\n";
}

std::string to_wire(const reply& what) {
  std::string out;
  append_wire(out, what);
  return out;
}

const standard_reply& storage_reply(hedwig_status status) noexcept {
  switch (status) {
  case HEDWIG_OK:
    return replies::ok;
  case HEDWIG_E_NO_SPACE:
    return replies::no_space;
  case HEDWIG_E_BUSY:
    return replies::busy;
  default:
    return replies::local_error;
  }
}

const standard_reply& auth_reply(hedwig_status status) noexcept {
  switch (status) {
  case HEDWIG_OK:
    return replies::authenticated;
  case HEDWIG_E_DENIED:
  case HEDWIG_E_NOT_FOUND:
    return replies::auth_failed;
  default:
    return replies::auth_unavailable;
  }
}

const standard_reply& header_reply(mail::header_fault fault) noexcept {
  return fault == mail::header_fault::loop ? replies::loop : replies::header_too_big;
}

const standard_reply& sender_reply(mail::address_fault fault) noexcept {
  return fault == mail::address_fault::source_route ? replies::sender_source_route : replies::bad_sender;
}

const standard_reply& recipient_reply(mail::address_fault fault) noexcept {
  return fault == mail::address_fault::source_route ? replies::recipient_source_route : replies::bad_recipient;
}

} // namespace hedwig::smtp
