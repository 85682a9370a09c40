// SPDX-License-Identifier: Apache-2.0
// One command line with its path and parameters. Input: what is allowed, then the line without its end.
#include "runtime/smtp/command.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace hedwig::fuzz {

namespace {

bool is_printable_ascii(std::string_view text) {
  for (auto c : text)
    if (c < 0x21 || c > 0x7e)
      return false;
  return true;
}

void check_path(const mail::address& of) {
  auto& text = of.text();
  demand(text.size() <= mail::address_octets_max, "an address has its limit");
  demand(mail::is_utf8(text), "an address is UTF-8");
  for (auto c : text)
    demand(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f, "no control byte in an address");
  if (of.domain().empty())
    return; // the null path, or postmaster
  auto again = mail::address::parse(text);
  demand(again && *again == of, "an address reads as itself");
  demand(again->domain_key() == of.domain_key(), "its domain has one key");
  auto key = mail::domain_key(of.domain());
  demand(key && *key == of.domain_key(), "the domain alone has the same key");
  auto of_key = mail::domain_key(*key);
  demand(of_key && *of_key == *key, "a key is its own key");
  demand(mail::is_ascii(*key), "keys are ASCII");
  for (auto c : *key)
    demand(c < 'A' || c > 'Z', "keys are lower case");
}

void check(const smtp::mail_command& what) {
  check_path(what.reverse_path);
  auto& id = what.parameters.envelope_id;
  demand(id.size() <= smtp::envelope_id_octets_max && is_printable_ascii(id), "ENVID is short and printable");
  demand(id.empty() || smtp::decode_xtext(id), "ENVID is xtext");
}

void check(const smtp::rcpt_command& what) {
  demand(!what.forward_path.empty(), "no recipient is the null path");
  check_path(what.forward_path);
  auto& original = what.parameters.original_recipient;
  // Each character outside ASCII takes up to ten octets as "\x{10FFFF}" where it took two to four.
  demand(original.size() <= smtp::original_recipient_octets_max * 5 && is_printable_ascii(original),
         "ORCPT is short and printable");
  demand((what.parameters.notify & smtp::notify_never) == 0 || what.parameters.notify == smtp::notify_never,
         "NEVER stands alone");
}

void check(const smtp::helo_command& what) {
  demand(!what.name.empty() && what.name.size() <= smtp::helo_octets_max, "a name in EHLO has its limit");
  for (auto c : what.name)
    demand(static_cast<unsigned char>(c) > 0x20 && c != 0x7f, "no control byte in it");
}

void check(const smtp::auth_command& what) {
  demand(!what.mechanism.empty(), "AUTH has a mechanism");
  demand(!what.initial_response || !what.initial_response->empty(), "an initial response is not empty");
}

template <class Other>
void check(const Other&) {}

} // namespace

void command(std::string_view input) {
  auto bits = take_octet(input);
  const smtp::grammar allowed{.extended = (bits & 1) == 0,
                              .size = (bits & 2) == 0,
                              .eight_bit_mime = (bits & 4) == 0,
                              .smtputf8 = (bits & 8) == 0,
                              .auth = (bits & 16) == 0,
                              .dsn = (bits & 32) == 0,
                              .binary_mime = (bits & 64) == 0};
  auto parsed = smtp::parse_command(input, allowed);
  auto verb = smtp::verb_of(input);
  if (parsed) {
    std::visit([](auto& what) { check(what); }, *parsed);
    demand(!verb.empty() || std::holds_alternative<smtp::http_command>(*parsed), "a command that is taken has a name");
  } else {
    auto code = static_cast<smtp::reply>(parsed.error()).code;
    demand(code == 500 || code == 501 || code == 502 || code == 504 || code == 555 || code == 553 || code == 550,
           "a command is refused for good");
  }
  if (auto octets = smtp::decode_xtext(input))
    demand(octets->size() <= input.size(), "xtext grows nothing");
}

} // namespace hedwig::fuzz
