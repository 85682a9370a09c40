// SPDX-License-Identifier: Apache-2.0
#include "runtime/plugin/filter_values.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "runtime/plugin/table_copy.hpp"
#include "runtime/plugin/text_view.hpp"

namespace hedwig::plugin {

namespace {

std::unexpected<error> bad(std::string message) {
  return std::unexpected{error{HEDWIG_E_INVALID, "malformed verdict: " + std::move(message), {}, 0}};
}

bool is_digits(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

/// RFC 3463, section 2: class "." subject "." detail, up to three digits each.
bool good_enhanced_code(std::string_view code, char reply_class) {
  if (code.size() < 5 || code[0] != reply_class || code[1] != '.')
    return false;
  auto dot = code.find('.', 2);
  if (dot == std::string_view::npos)
    return false;
  auto subject = code.substr(2, dot - 2);
  auto detail = code.substr(dot + 1);
  return is_digits(subject) && subject.size() <= 3 && is_digits(detail) && detail.size() <= 3;
}

/// Well-formed UTF-8 (RFC 3629) without control characters.
bool printable(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    auto lead = static_cast<unsigned char>(text[i]);
    std::size_t length = lead < 0x80                   ? 1
                         : lead >= 0xC2 && lead < 0xE0 ? 2
                         : lead >= 0xE0 && lead < 0xF0 ? 3
                         : lead >= 0xF0 && lead < 0xF5 ? 4
                                                       : 0;
    if (length == 0 || i + length > text.size() || lead < 0x20 || lead == 0x7F)
      return false;
    std::uint32_t code = length == 1 ? lead : lead & (0xFFU >> (length + 1));
    for (std::size_t k = 1; k < length; ++k) {
      auto next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xC0) != 0x80)
        return false;
      code = (code << 6) | (next & 0x3FU);
    }
    if ((length == 3 && (code < 0x800 || (code >= 0xD800 && code <= 0xDFFF))) ||
        (length == 4 && (code < 0x10000 || code > 0x10FFFF)) || (code >= 0x80 && code < 0xA0))
      return false;
    i += length;
  }
  return true;
}

/// RFC 5322, section 2.2: printable US-ASCII but the colon.
bool good_field_name(std::string_view name) {
  return !name.empty() && name.size() <= 76 &&
         std::ranges::all_of(name, [](char c) { return c > ' ' && c < 0x7F && c != ':'; });
}

bool one_line(std::string_view text) {
  return std::ranges::none_of(text, [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
}

/// RFC 5322, section 2.2.3: each line of a folded value goes on with white space, and none is white space alone.
bool well_folded(std::string_view value) {
  for (bool first = true;; first = false) {
    auto end = value.find("\r\n");
    auto line = value.substr(0, end);
    if (!one_line(line) || line.size() > edit::folded_line_max)
      return false;
    if (!first && (line.find_first_not_of(" \t") == 0 || line.find_first_not_of(" \t") == std::string_view::npos))
      return false;
    if (end == std::string_view::npos)
      return true;
    value.remove_prefix(end + 2);
  }
}

bool sets_header(edit_kind kind) {
  return kind == edit_kind::add_header || kind == edit_kind::insert_header || kind == edit_kind::replace_header;
}

/// Enough to keep an address from breaking out of a command; the envelope checks the rest.
bool good_address(std::string_view address) {
  return address.size() <= 1000 && std::ranges::none_of(address, [](char c) {
           return (c >= 0 && c <= ' ') || c == 0x7F || c == '<' || c == '>';
         });
}

struct defaults {
  verdict_action action;
  int code;
  const char* enhanced_code;
  const char* text;
};

// By the SDK's action number.
constexpr std::array<defaults, 7> actions{
    {{verdict_action::proceed, 0, "", ""},
     {verdict_action::accept, 0, "", ""},
     {verdict_action::reject, 550, "5.7.1", "Refused by local policy"},
     {verdict_action::tempfail, 451, "4.7.1", "Not accepted now, try again later"},
     {verdict_action::discard, 0, "", ""},
     {verdict_action::quarantine, 0, "", ""},
     {verdict_action::disconnect, 421, "4.7.0", "Closing the connection"}}};

bool code_fits(verdict_action action, std::uint32_t code) {
  switch (action) {
  case verdict_action::reject:
    return code >= 500 && code <= 559;
  case verdict_action::tempfail:
    return code >= 400 && code <= 459;
  case verdict_action::disconnect:
    return code == 421 || (code >= 500 && code <= 559);
  default:
    return false;
  }
}

bool has_reply(verdict_action action) {
  return action == verdict_action::reject || action == verdict_action::tempfail || action == verdict_action::disconnect;
}

std::optional<std::string> fault_of(const edit& e) {
  switch (e.kind) {
  case edit_kind::add_header:
  case edit_kind::insert_header:
  case edit_kind::replace_header:
  case edit_kind::delete_header:
    if (!good_field_name(e.name))
      return "an edit has a bad field name";
    if (e.kind == edit_kind::replace_header && e.index == 0)
      return "replacing a header field needs an index from 1";
    break;
  case edit_kind::add_recipient:
  case edit_kind::delete_recipient:
    if (e.value.empty())
      return "an edit has an empty recipient";
    [[fallthrough]];
  case edit_kind::change_sender:
    if (!good_address(e.value))
      return "an edit has a bad address";
    break;
  case edit_kind::replace_body:
    break;
  }
  if (e.value.size() > verdict::max_edit_value)
    return "the value of an edit is longer than 65536 bytes";
  if (e.folded && !well_folded(e.value))
    return "the value of an edit is not folded as RFC 5322 has it";
  if (!e.folded && !one_line(e.value))
    return "the value of an edit has CR, LF or NUL";
  return std::nullopt;
}

result<edit> copy_edit(const hedwig_edit* raw) {
  auto from = copy_growing<hedwig_edit>(raw);
  if (from.kind < HEDWIG_EDIT_ADD_HEADER || from.kind > HEDWIG_EDIT_CHANGE_SENDER)
    return bad("unknown kind of edit " + std::to_string(from.kind));
  edit out{static_cast<edit_kind>(from.kind - HEDWIG_EDIT_ADD_HEADER),
           std::string{text_view(from.name)},
           std::string{text_view(from.value)},
           from.index,
           {},
           (from.flags & HEDWIG_EDIT_FOLDED) != 0};
  out.folded = out.folded && sets_header(out.kind);
  if (auto fault = fault_of(out))
    return bad(*fault);
  for (std::size_t i = 0; i < from.slice_count; ++i) {
    auto& part = from.slices[i];
    std::string_view window{reinterpret_cast<const char*>(part.data), part.size};
    if (part.buf == nullptr) {
      out.body.append_copy(window);
      continue;
    }
    buffer_retain(part.buf); // results are borrowed
    out.body.append(slice{buffer{part.buf}, window});
  }
  return out;
}

result<void> copy_reply(const hedwig_verdict& from, const defaults& usual, verdict& out) {
  out.code = from.reply_code == 0 ? usual.code : static_cast<int>(from.reply_code);
  if (from.reply_code != 0 && !code_fits(usual.action, from.reply_code))
    return bad("the reply code " + std::to_string(from.reply_code) + " does not fit the action");
  auto text = text_view(from.reply_text);
  if (text.size() > verdict::max_reply_text)
    return bad("the reply text is longer than 1024 bytes");
  if (!printable(text))
    return bad("the reply text is not printable UTF-8");
  auto enhanced = text_view(from.enhanced_code);
  auto reply_class = static_cast<char>('0' + out.code / 100);
  if (!enhanced.empty() && !good_enhanced_code(enhanced, reply_class))
    return bad("the enhanced status code does not fit the reply");
  out.enhanced_code = enhanced;
  if (enhanced.empty() && has_reply(usual.action)) {
    out.enhanced_code = usual.enhanced_code;
    out.enhanced_code[0] = reply_class;
  }
  out.text = text.empty() ? usual.text : std::string{text};
  return {};
}

} // namespace

const char* to_string(hook which) noexcept {
  constexpr std::array names{"on_connect", "on_helo", "on_auth", "on_mail",    "on_recipient",
                             "on_header",  "on_body", "on_end",  "on_delivery"};
  return names[static_cast<std::size_t>(which)];
}

result<verdict> check_verdict(const hedwig_verdict* raw, hook at) {
  if (raw == nullptr)
    return verdict{};
  auto from = copy_growing<hedwig_verdict>(raw);
  if (from.action < HEDWIG_CONTINUE || from.action > HEDWIG_DISCONNECT)
    return bad("unknown action " + std::to_string(from.action));
  auto& usual = actions[static_cast<std::size_t>(from.action)];
  verdict out;
  out.action = usual.action;
  if (!has_reply(usual.action) && from.reply_code != 0)
    return bad("a reply code with an action that has no reply");
  if (has_reply(usual.action) || usual.action == verdict_action::quarantine) {
    if (auto reply = copy_reply(from, usual, out); !reply)
      return std::unexpected{reply.error()};
  }
  if (from.edit_count > 0 && at != hook::end && at != hook::delivery)
    return bad("edits are for on_end and on_delivery");
  if (from.edit_count > verdict::max_edits)
    return bad("more than 1000 edits");
  bool body_replaced = false;
  for (std::size_t i = 0; i < from.edit_count; ++i) {
    auto one = copy_edit(from.edits[i]);
    if (!one)
      return std::unexpected{one.error()};
    if (one->kind == edit_kind::replace_body && std::exchange(body_replaced, true))
      return bad("the body is replaced twice");
    out.edits.push_back(std::move(*one));
  }
  return out;
}

} // namespace hedwig::plugin
