// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/filter/verdict.hpp"

#include <algorithm>

#include "sdk/check/filter/rules.hpp"
#include "sdk/check/test.hpp"

namespace hedwig::check::filter {

namespace {

constexpr std::size_t reply_text_max = 1024;
constexpr std::size_t field_name_max = 76;
constexpr std::size_t edit_value_max = 65536;
constexpr std::size_t edits_max = 1000;
constexpr std::size_t folded_line_max = 998; // RFC 5322, section 2.1.1

/// Well-formed UTF-8 (RFC 3629) without control characters.
bool is_printable(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    auto lead = static_cast<unsigned char>(text[i]);
    std::size_t length = lead < 0x80 ? 1 : lead >= 0xC2 && lead < 0xE0 ? 2 : lead >= 0xE0 && lead < 0xF0 ? 3 : 4;
    bool good_lead = lead < 0x80 ? lead >= 0x20 && lead != 0x7F : lead >= 0xC2 && lead < 0xF5;
    if (!good_lead || i + length > text.size())
      return false;
    std::uint32_t code = length == 1 ? lead : lead & (0xFFU >> (length + 1));
    for (std::size_t k = 1; k < length; ++k) {
      auto next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xC0) != 0x80)
        return false;
      code = (code << 6) | (next & 0x3FU);
    }
    constexpr std::uint32_t least[] = {0, 0, 0xA0, 0x800, 0x10000};
    if (code < least[length] || (code >= 0xD800 && code <= 0xDFFF) || code > 0x10FFFF)
      return false;
    i += length;
  }
  return true;
}

bool is_one_line(std::string_view text) {
  return std::ranges::none_of(text, [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
}

bool is_well_folded(std::string_view value) {
  for (bool first = true;; first = false) {
    auto end = value.find("\r\n");
    auto line = value.substr(0, end);
    auto content = line.find_first_not_of(" \t");
    if (!is_one_line(line) || line.size() > folded_line_max || (!first && (content == 0 || content == line.npos)))
      return false;
    if (end == std::string_view::npos)
      return true;
    value.remove_prefix(end + 2);
  }
}

/// RFC 3463: class "." subject "." detail.
bool is_enhanced_code(std::string_view code, char of_class) {
  auto digits = [](std::string_view text) {
    return !text.empty() && text.size() <= 3 && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
  };
  auto dot = code.find('.', 2);
  return code.size() >= 5 && code[0] == of_class && code[1] == '.' && dot != code.npos &&
         digits(code.substr(2, dot - 2)) && digits(code.substr(dot + 1));
}

std::optional<blemish> fault_of_code(const verdict_copy& said) {
  auto code = said.reply_code;
  bool permanent = code >= 500 && code <= 559, temporary = code >= 400 && code <= 459;
  auto saw = fmt::format("{} gave the reply code {} with the action {}", name_of(said.from), code, said.action);
  if (code == 0)
    return std::nullopt;
  if (said.action == HEDWIG_REJECT)
    return permanent ? std::nullopt : std::optional{blemish{&rules::reject_is_5xx, saw}};
  if (said.action == HEDWIG_TEMPFAIL)
    return temporary ? std::nullopt : std::optional{blemish{&rules::tempfail_is_4xx, saw}};
  if (said.action == HEDWIG_DISCONNECT)
    return permanent || code == 421 ? std::nullopt : std::optional{blemish{&rules::disconnect_is_421, saw}};
  return blemish{&rules::reply_codes, saw};
}

std::optional<blemish> fault_of_field(const edit_copy& one) {
  auto good = [](char c) { return c > ' ' && c < 0x7F && c != ':'; };
  if (one.name.empty() || one.name.size() > field_name_max || !std::ranges::all_of(one.name, good))
    return blemish{&rules::field_names, fmt::format("an edit names the field \"{}\"", one.name)};
  if (one.kind == HEDWIG_EDIT_REPLACE_HEADER && one.index == 0)
    return blemish{&rules::replaced_from_1, fmt::format("field \"{}\" is replaced at index 0", one.name)};
  if ((one.flags & HEDWIG_EDIT_FOLDED) != 0 && one.kind != HEDWIG_EDIT_DELETE_HEADER && !is_well_folded(one.value))
    return blemish{&rules::folded_values, fmt::format("the folds of \"{}\" are none: \"{}\"", one.name, one.value)};
  return std::nullopt;
}

std::optional<blemish> fault_of_address(const edit_copy& one) {
  auto bad = [](unsigned char c) { return c <= ' ' || c == 0x7F || c == '<' || c == '>'; };
  bool empty = one.value.empty() && one.kind != HEDWIG_EDIT_CHANGE_SENDER;
  if (empty || one.value.size() > 1000 || std::ranges::any_of(one.value, bad))
    return blemish{&rules::bare_addresses, fmt::format("an edit has the address \"{}\"", one.value)};
  return std::nullopt;
}

std::optional<blemish> fault_of_edit(const edit_copy& one) {
  if (one.kind < HEDWIG_EDIT_ADD_HEADER || one.kind > HEDWIG_EDIT_CHANGE_SENDER)
    return blemish{&rules::known_verdicts, fmt::format("an edit has the kind {}", one.kind)};
  bool folded = (one.flags & HEDWIG_EDIT_FOLDED) != 0 && one.kind <= HEDWIG_EDIT_REPLACE_HEADER;
  if (one.value.size() > edit_value_max || (!folded && !is_one_line(one.value)))
    return blemish{&rules::field_values,
                   fmt::format("the value of an edit has {} bytes, or CR, LF or NUL among them", one.value.size())};
  if (one.kind <= HEDWIG_EDIT_DELETE_HEADER)
    return fault_of_field(one);
  if (one.kind >= HEDWIG_EDIT_ADD_RECIPIENT && one.kind <= HEDWIG_EDIT_CHANGE_SENDER)
    return fault_of_address(one);
  return std::nullopt;
}

} // namespace

std::optional<blemish> fault_of_reply(const verdict_copy& said) {
  if (auto fault = fault_of_code(said))
    return fault;
  if (said.reply.size() > reply_text_max || !is_printable(said.reply))
    return blemish{&rules::reply_texts, fmt::format("{} gave a reply of {} bytes that is too long or not printable",
                                                    name_of(said.from), said.reply.size())};
  auto of_class = said.action == HEDWIG_REJECT || said.reply_code >= 500 ? '5' : '4';
  bool has_reply = said.action == HEDWIG_REJECT || said.action == HEDWIG_TEMPFAIL || said.action == HEDWIG_DISCONNECT;
  if (has_reply && !said.enhanced_code.empty() && !is_enhanced_code(said.enhanced_code, of_class))
    return blemish{&rules::enhanced_codes, fmt::format("{} gave the enhanced code \"{}\" with the action {}",
                                                       name_of(said.from), said.enhanced_code, said.action)};
  return std::nullopt;
}

std::optional<blemish> fault_of_edits(const std::vector<edit_copy>& edits) {
  if (edits.size() > edits_max)
    return blemish{&rules::edits_at_the_end, fmt::format("{} edits", edits.size())};
  for (auto& one : edits)
    if (auto fault = fault_of_edit(one))
      return fault;
  if (std::ranges::count(edits, HEDWIG_EDIT_REPLACE_BODY, &edit_copy::kind) > 1)
    return blemish{&rules::one_new_body, "the body is replaced twice"};
  return std::nullopt;
}

} // namespace hedwig::check::filter
