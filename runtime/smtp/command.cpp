// SPDX-License-Identifier: Apache-2.0
#include "runtime/smtp/command.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "runtime/base/ascii.hpp"
#include "runtime/smtp/path.hpp"

namespace hedwig::smtp {

namespace {

using parsed = std::expected<any_command, standard_reply>;
using refused_command = std::unexpected<standard_reply>;

constexpr std::size_t size_digits_max = 20; // RFC 1870 section 5

bool take_ignoring_case(std::string_view& rest, std::string_view capitals) noexcept {
  if (rest.size() < capitals.size() || !ascii::equal_ignoring_case(rest.substr(0, capitals.size()), capitals))
    return false;
  rest.remove_prefix(capitals.size());
  return true;
}

void skip_spaces(std::string_view& rest) noexcept {
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
}

// "KEYWORD" or "KEYWORD=value", RFC 5321 section 4.1.2.
struct parameter {
  std::string_view keyword;
  std::optional<std::string_view> value;
};

std::optional<parameter> take_parameter(std::string_view& rest) noexcept {
  auto token = rest.substr(0, rest.find(' '));
  rest.remove_prefix(token.size());
  auto keyword = token.substr(0, token.find('='));
  if (keyword.empty() || !ascii::is_alnum(keyword.front()) ||
      !std::ranges::all_of(keyword, [](char c) { return ascii::is_alnum(c) || c == '-'; }))
    return std::nullopt;
  if (keyword.size() == token.size())
    return parameter{keyword, std::nullopt};
  auto value = token.substr(keyword.size() + 1);
  if (value.empty() || value.find('=') != std::string_view::npos)
    return std::nullopt;
  return parameter{keyword, value};
}

// Calls `take(parameter)` for each parameter behind a path until one is refused.
template <class Take>
std::optional<standard_reply> each_parameter(std::string_view rest, const grammar& allowed, Take take) {
  for (std::size_t count = 0; !rest.empty(); ++count) {
    if (rest.front() != ' ')
      return replies::syntax_error;
    skip_spaces(rest);
    auto found = take_parameter(rest);
    if (!found || count == parameters_max)
      return replies::syntax_error;
    if (!allowed.extended)
      return replies::unknown_parameter;
    if (auto refusal = take(*found))
      return refusal;
  }
  return std::nullopt;
}

std::optional<standard_reply> take_size(const parameter& given, mail_parameters& out) {
  if (out.size)
    return replies::repeated_parameter;
  if (!given.value || given.value->size() > size_digits_max || !std::ranges::all_of(*given.value, ascii::is_digit))
    return replies::bad_parameter;
  std::uint64_t octets = 0;
  auto read = std::from_chars(given.value->data(), given.value->data() + given.value->size(), octets);
  out.size = read.ec == std::errc{} ? octets : std::numeric_limits<std::uint64_t>::max();
  return std::nullopt;
}

std::optional<standard_reply> take_body_type(const parameter& given, const grammar& allowed, mail_parameters& out) {
  if (!given.value)
    return replies::bad_parameter;
  if (allowed.eight_bit_mime && ascii::equal_ignoring_case(*given.value, "8BITMIME"))
    out.body = body_type::eight_bit;
  else if (allowed.binary_mime && ascii::equal_ignoring_case(*given.value, "BINARYMIME"))
    out.body = body_type::binary;
  else if (!ascii::equal_ignoring_case(*given.value, "7BIT"))
    return replies::unknown_parameter; // RFC 5321 section 4.1.1.11: a value that cannot be implemented
  return std::nullopt;
}

// RFC 3461 section 4: what stands in a report must be printable ASCII once it is decoded.
bool is_printable_xtext(std::string_view text) noexcept {
  auto hex = [](char c) { return ascii::is_digit(c) ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] < 33 || text[i] > 126 || text[i] == '=')
      return false;
    if (text[i] != '+')
      continue;
    if (text.size() - i < 3 || hex(text[i + 1]) < 2 || hex(text[i + 2]) < 0)
      return false;
    auto octet = hex(text[i + 1]) * 16 + hex(text[i + 2]);
    if (octet > 126)
      return false;
    i += 2;
  }
  return !text.empty();
}

std::optional<standard_reply> take_return(const parameter& given, mail_parameters& out) {
  if (out.returns != return_type::unsaid)
    return replies::repeated_parameter;
  if (given.value && ascii::equal_ignoring_case(*given.value, "FULL"))
    out.returns = return_type::full;
  else if (given.value && ascii::equal_ignoring_case(*given.value, "HDRS"))
    out.returns = return_type::headers;
  else
    return replies::bad_parameter;
  return std::nullopt;
}

std::optional<standard_reply> take_envelope_id(const parameter& given, mail_parameters& out) {
  if (!out.envelope_id.empty())
    return replies::repeated_parameter;
  if (!given.value || given.value->size() > envelope_id_octets_max || !is_printable_xtext(*given.value))
    return replies::bad_parameter;
  out.envelope_id = *given.value;
  return std::nullopt;
}

std::uint8_t notify_bit(std::string_view word) noexcept {
  if (ascii::equal_ignoring_case(word, "SUCCESS"))
    return notify_success;
  if (ascii::equal_ignoring_case(word, "FAILURE"))
    return notify_failure;
  return ascii::equal_ignoring_case(word, "DELAY") ? notify_delay : 0;
}

// "NEVER", or others of the words, each once.
std::optional<standard_reply> take_notify(const parameter& given, rcpt_parameters& out) {
  if (out.notify != 0)
    return replies::repeated_parameter;
  if (!given.value)
    return replies::bad_parameter;
  auto words = *given.value;
  if (ascii::equal_ignoring_case(words, "NEVER")) {
    out.notify = notify_never;
    return std::nullopt;
  }
  for (bool more = true; more;) {
    auto word = words.substr(0, words.find(','));
    auto bit = notify_bit(word);
    if (bit == 0 || (out.notify & bit) != 0)
      return replies::bad_parameter;
    out.notify |= bit;
    more = word.size() < words.size();
    words.remove_prefix(more ? word.size() + 1 : word.size());
  }
  return std::nullopt;
}

// RFC 6533 section 3: octets outside ASCII as EmbeddedUnicodeChar. `text` is well-formed UTF-8.
std::string with_embedded_unicode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x80) {
      out += text[i++];
      continue;
    }
    std::size_t octets = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    std::uint32_t code_point = lead & (0x7FU >> octets);
    for (std::size_t k = 1; k < octets; ++k)
      code_point = code_point << 6U | (static_cast<unsigned char>(text[i + k]) & 0x3FU);
    std::array<char, 8> digits{};
    auto end = std::to_chars(digits.data(), digits.data() + digits.size(), code_point, 16).ptr;
    std::transform(digits.data(), end, digits.data(), [](char c) { return c >= 'a' ? static_cast<char>(c - 32) : c; });
    out.append("\\x{").append(digits.data(), end).append("}");
    i += octets;
  }
  return out;
}

// "type;xtext". Whether the client may write UTF-8 here, MAIL has said: see the session.
std::optional<standard_reply> take_original_recipient(const parameter& given, const grammar& allowed,
                                                      rcpt_parameters& out) {
  if (!out.original_recipient.empty())
    return replies::repeated_parameter;
  auto value = given.value.value_or(std::string_view{});
  auto type = value.substr(0, value.find(';'));
  auto is_atom = [](char c) { return ascii::is_alnum(c) || std::string_view{"!#$%&'*+-/=?^_`{|}~"}.contains(c); };
  if (value.size() > original_recipient_octets_max || type.empty() || type.size() + 1 >= value.size() ||
      !std::ranges::all_of(type, is_atom))
    return replies::bad_parameter;
  auto address = value.substr(type.size() + 1);
  if (!mail::is_ascii(address)) {
    if (!allowed.smtputf8 || !ascii::equal_ignoring_case(type, "utf-8") || !mail::is_utf8(address))
      return replies::bad_parameter;
    out.utf8 = true;
    out.original_recipient = with_embedded_unicode(value);
    if (out.original_recipient.size() > original_recipient_octets_max)
      return replies::bad_parameter;
    address = std::string_view{out.original_recipient}.substr(type.size() + 1);
  } else {
    out.original_recipient = value;
  }
  return is_printable_xtext(address) ? std::nullopt : std::optional<standard_reply>{replies::bad_parameter};
}

template <class Value, class Parse>
std::optional<standard_reply> take_once(const parameter& given, std::optional<Value>& out, Parse parse) {
  if (out)
    return replies::repeated_parameter;
  if (given.value)
    out = parse(*given.value);
  return out ? std::nullopt : std::optional<standard_reply>{replies::bad_parameter};
}

// RFC 4865 section 4: one of the two, once.
std::optional<standard_reply> take_hold(const parameter& given, mail_parameters& out) {
  if (out.hold_for || out.hold_until)
    return replies::repeated_parameter;
  return ascii::equal_ignoring_case(given.keyword, "HOLDFOR") ? take_once(given, out.hold_for, parse_hold_for)
                                                              : take_once(given, out.hold_until, parse_date_time);
}

std::optional<standard_reply> take_require_tls(const parameter& given, mail_parameters& out) {
  if (std::exchange(out.require_tls, true))
    return replies::repeated_parameter;
  return given.value ? std::optional<standard_reply>{replies::bad_parameter} : std::nullopt;
}

std::optional<standard_reply> check_auth_parameter(const parameter& given) {
  auto good = given.value && (*given.value == "<>" || decode_xtext(*given.value));
  return good ? std::nullopt : std::optional<standard_reply>{replies::bad_parameter};
}

// Each known parameter of MAIL once.
class mail_parameter_reader {
public:
  mail_parameter_reader(const grammar& allowed, mail_parameters& out) : allowed_{allowed}, out_{out} {}

  std::optional<standard_reply> operator()(const parameter& given) {
    if (allowed_.size && ascii::equal_ignoring_case(given.keyword, "SIZE"))
      return take_size(given, out_);
    if ((allowed_.eight_bit_mime || allowed_.binary_mime) && ascii::equal_ignoring_case(given.keyword, "BODY"))
      return std::exchange(body_seen_, true) ? replies::repeated_parameter : take_body_type(given, allowed_, out_);
    if (allowed_.smtputf8 && ascii::equal_ignoring_case(given.keyword, "SMTPUTF8")) {
      if (std::exchange(out_.smtputf8, true))
        return replies::repeated_parameter;
      return given.value ? std::optional<standard_reply>{replies::bad_parameter} : std::nullopt;
    }
    if (allowed_.auth && ascii::equal_ignoring_case(given.keyword, "AUTH"))
      return std::exchange(auth_seen_, true) ? replies::repeated_parameter : check_auth_parameter(given);
    if (allowed_.dsn && ascii::equal_ignoring_case(given.keyword, "RET"))
      return take_return(given, out_);
    if (allowed_.dsn && ascii::equal_ignoring_case(given.keyword, "ENVID"))
      return take_envelope_id(given, out_);
    return take_handling(given);
  }

private:
  // How it is to be delivered.
  std::optional<standard_reply> take_handling(const parameter& given) {
    auto is = [&](std::string_view keyword) { return ascii::equal_ignoring_case(given.keyword, keyword); };
    if (allowed_.mt_priority && is("MT-PRIORITY"))
      return take_once(given, out_.priority, parse_priority);
    if (allowed_.deliver_by && is("BY"))
      return take_once(given, out_.deliver_by, parse_deliver_by);
    if (allowed_.future_release && (is("HOLDFOR") || is("HOLDUNTIL")))
      return take_hold(given, out_);
    if (allowed_.require_tls && is("REQUIRETLS"))
      return take_require_tls(given, out_);
    return replies::unknown_parameter;
  }

  const grammar& allowed_;
  mail_parameters& out_;
  bool body_seen_ = false;
  bool auth_seen_ = false;
};

parsed parse_mail(std::string_view arguments, const grammar& allowed) {
  if (!take_ignoring_case(arguments, "FROM:"))
    return refused_command{replies::syntax_error};
  skip_spaces(arguments);
  auto path = take_reverse_path(arguments);
  if (!path)
    return refused_command{sender_reply(path.error())};
  mail_command out{std::move(*path), {}};
  if (auto refusal = each_parameter(arguments, allowed, mail_parameter_reader{allowed, out.parameters}))
    return refused_command{*refusal};
  return out;
}

parsed parse_rcpt(std::string_view arguments, const grammar& allowed) {
  if (!take_ignoring_case(arguments, "TO:"))
    return refused_command{replies::syntax_error};
  skip_spaces(arguments);
  auto path = take_forward_path(arguments);
  if (!path)
    return refused_command{recipient_reply(path.error())};
  rcpt_command out{std::move(*path), {}};
  auto take = [&](const parameter& given) -> std::optional<standard_reply> {
    if (allowed.dsn && ascii::equal_ignoring_case(given.keyword, "NOTIFY"))
      return take_notify(given, out.parameters);
    if (allowed.dsn && ascii::equal_ignoring_case(given.keyword, "ORCPT"))
      return take_original_recipient(given, allowed, out.parameters);
    return replies::unknown_parameter;
  };
  if (auto refusal = each_parameter(arguments, allowed, take))
    return refused_command{*refusal};
  return out;
}

// Wider than the RFC, since names with underscores and the like are common and harmless: nothing is decided by them.
bool is_helo_name(std::string_view name) noexcept {
  auto good = [](char c) {
    return ascii::is_alnum(c) || static_cast<unsigned char>(c) >= 0x80 ||
           std::string_view{"-._:[]"}.find(c) != std::string_view::npos;
  };
  return !name.empty() && name.size() <= helo_octets_max && std::ranges::all_of(name, good) && mail::is_utf8(name);
}

parsed parse_helo(std::string_view arguments, bool extended) {
  if (!is_helo_name(arguments))
    return refused_command{replies::bad_helo};
  return helo_command{arguments, extended};
}

parsed parse_auth(std::string_view arguments) {
  auto mechanism = arguments.substr(0, arguments.find(' '));
  auto rest = arguments.substr(mechanism.size());
  skip_spaces(rest);
  if (mechanism.empty() || rest.find(' ') != std::string_view::npos)
    return refused_command{replies::syntax_error};
  return auth_command{mechanism, rest.empty() ? std::nullopt : std::optional{rest}};
}

// "10" or "10 LAST". A fault is told apart from those of other commands: see the session.
parsed parse_bdat(std::string_view arguments) {
  auto digits = arguments.substr(0, arguments.find(' '));
  bdat_command out;
  auto read = std::from_chars(digits.data(), digits.data() + digits.size(), out.octets);
  auto rest = arguments.substr(digits.size());
  skip_spaces(rest);
  out.last = ascii::equal_ignoring_case(rest, "LAST");
  out.malformed = digits.empty() || !std::ranges::all_of(digits, ascii::is_digit) || digits.size() > size_digits_max ||
                  read.ec != std::errc{} || (!rest.empty() && !out.last);
  return out;
}

template <class Command>
parsed without_arguments(std::string_view arguments, const grammar&) {
  if (!arguments.empty())
    return refused_command{replies::no_arguments_allowed};
  return Command{};
}

template <class Command>
parsed any_arguments(std::string_view, const grammar&) {
  return Command{};
}

struct verb_entry {
  std::string_view verb;
  parsed (*parse)(std::string_view arguments, const grammar& allowed);
};

// The frequent ones first.
constexpr std::array verbs{
    verb_entry{"RCPT", parse_rcpt},
    verb_entry{"MAIL", parse_mail},
    verb_entry{"DATA", without_arguments<data_command>},
    verb_entry{"EHLO", [](std::string_view text, const grammar&) { return parse_helo(text, true); }},
    verb_entry{"QUIT", without_arguments<quit_command>},
    verb_entry{"RSET", without_arguments<rset_command>},
    verb_entry{"AUTH", [](std::string_view text, const grammar&) { return parse_auth(text); }},
    verb_entry{"NOOP", any_arguments<noop_command>},
    verb_entry{"STARTTLS", without_arguments<starttls_command>},
    verb_entry{"HELO", [](std::string_view text, const grammar&) { return parse_helo(text, false); }},
    verb_entry{"VRFY",
               [](std::string_view text, const grammar&) {
                 return text.empty() ? parsed{refused_command{replies::syntax_error}} : parsed{vrfy_command{}};
               }},
    verb_entry{"EXPN", any_arguments<expn_command>},
    verb_entry{"HELP", any_arguments<help_command>},
    verb_entry{"XCLIENT", [](std::string_view text, const grammar&) { return parsed{xclient_command{text}}; }},
    verb_entry{"BDAT", [](std::string_view text, const grammar&) { return parse_bdat(text); }},
};

constexpr std::array<std::string_view, 10> http_verbs{"GET",     "POST",    "PUT",   "HEAD",  "DELETE",
                                                      "OPTIONS", "CONNECT", "TRACE", "PATCH", "PRI"};

bool is_http(std::string_view verb) noexcept {
  return std::ranges::any_of(http_verbs,
                             [&](std::string_view known) { return ascii::equal_ignoring_case(verb, known); }) ||
         ascii::equal_ignoring_case(verb, "HOST:");
}

const verb_entry* find_verb(std::string_view line) noexcept {
  auto verb = line.substr(0, line.find(' '));
  auto found = std::ranges::find_if(verbs, [&](auto& entry) { return ascii::equal_ignoring_case(verb, entry.verb); });
  return found == verbs.end() ? nullptr : &*found;
}

} // namespace

std::expected<any_command, standard_reply> parse_command(std::string_view line, const grammar& allowed) {
  if (std::ranges::any_of(line, ascii::is_control)) {
    if (verb_of(line) == "BDAT")
      return bdat_command{.malformed = true};
    return refused_command{replies::bad_bytes};
  }
  while (line.ends_with(' '))
    line.remove_suffix(1);
  if (auto* entry = find_verb(line)) {
    auto arguments = line.substr(entry->verb.size());
    skip_spaces(arguments);
    return entry->parse(arguments, allowed);
  }
  if (is_http(line.substr(0, line.find(' '))))
    return http_command{};
  return refused_command{replies::unknown_command};
}

std::string_view verb_of(std::string_view line) noexcept {
  auto* entry = find_verb(line);
  return entry == nullptr ? std::string_view{} : entry->verb;
}

std::optional<std::string> decode_xtext(std::string_view text) {
  auto hex = [](char c) { return ascii::is_digit(c) ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      if (text.size() - i < 3 || hex(text[i + 1]) < 0 || hex(text[i + 2]) < 0)
        return std::nullopt;
      out += static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2]));
      i += 2;
    } else if (text[i] < 33 || text[i] > 126 || text[i] == '=') {
      return std::nullopt;
    } else {
      out += text[i];
    }
  }
  return out;
}

} // namespace hedwig::smtp
