// SPDX-License-Identifier: Apache-2.0
// The header of a message: parsed, prepared and canonicalised. The parser that policies trust and the one that signs
// see the same fields; in slices the message reads as in one piece.
// Input: options, seed of the cuts, then the message. Bare CR and LF never come so far, and are made CR LF here too.
#include "runtime/dkim/header.hpp"
#include "runtime/dkim/canonical.hpp"
#include "runtime/mail/address.hpp"
#include "runtime/mail/header.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <algorithm>
#include <array>

namespace hedwig::fuzz {

namespace {

constexpr std::string_view probed_names[] = {"From", "Sender", "Subject", "Received", "Bcc", "To", "X", "Date"};

std::string normalized(std::string_view input) {
  std::string out;
  for (std::size_t i = 0; i < input.size(); ++i) {
    auto ends = input[i] == '\r' || input[i] == '\n';
    if (input[i] == '\r' && i + 1 < input.size() && input[i + 1] == '\n')
      ++i;
    if (ends)
      out += "\r\n";
    else if (input[i] != '\0')
      out += input[i];
  }
  return out;
}

rope sliced(std::string_view text, unsigned cuts) {
  rope out;
  in_pieces(text, cuts, [&](std::string_view piece) { out.append_copy(piece); });
  return out;
}

bool same_fields(const mail::header_block& a, const mail::header_block& b) {
  return std::ranges::equal(a.fields(), b.fields(), [](auto& x, auto& y) {
    return x.name == y.name && x.value == y.value && x.offset == y.offset && x.size == y.size;
  });
}

void check_value(std::string_view value) {
  auto line = mail::unfold(value);
  for (auto c : line)
    demand(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f, "unfolded is one line");
  demand(mail::unfold(value, 10).size() <= 10, "unfolding has its limit");
  if (auto part = mail::unfolded_already(value))
    demand(*part == line, "a part of the value is what unfolding gives");
  auto list = mail::read_addresses(value);
  demand(list.addresses.size() <= mail::from_addresses_max, "addresses have their limit");
  demand(list.addresses == mail::addresses_in(value), "both say the same");
  for (auto& address : list.addresses)
    demand(mail::address::parse(address).has_value(), "what is found is an address");
}

void check_fields(const mail::header_block& header, std::string_view text) {
  std::size_t at = 0;
  for (auto& field : header.fields()) {
    demand(field.offset == at, "fields stand one behind the other");
    at += field.size;
    demand(text.substr(field.offset, field.size).starts_with(field.name), "a field begins with its name");
    demand(field.value.data() + field.value.size() <= header.fields()[0].name.data() + text.size(), "a value is in it");
    check_value(field.value);
    auto whole = text.substr(field.offset, field.size);
    auto relaxed = dkim::relaxed_field(whole.ends_with("\r\n") ? whole.substr(0, whole.size() - 2) : whole);
    demand(relaxed.find("\r\n") == std::string::npos, "a relaxed field is one line");
    demand(dkim::relaxed_field(relaxed) == relaxed, "relaxing twice changes nothing");
  }
  demand(at == header.size(), "fields are all of the header");
}

class relaxed_text final : public dkim::relaxed_body {
public:
  std::string text;

private:
  void take(std::string_view canonical) override { text += canonical; }
};

std::string relaxed_body_of(std::string_view body, unsigned cuts) {
  relaxed_text out;
  in_pieces(body, cuts, [&](std::string_view piece) { out.update(piece); });
  out.finish();
  return out.text;
}

mail::received_info info_of(std::string_view hostile) {
  return {.helo = hostile.substr(0, 255),
          .peer_name = hostile.substr(0, 40),
          .peer_ip = "192.0.2.1",
          .by = "relay.example.test",
          .protocol = "ESMTPS",
          .tls = hostile.substr(0, 60),
          .id = "0123456789ABCDEFGHJKMNPQRS",
          .recipient = hostile.substr(0, 254),
          .smtputf8 = hostile.size() % 2 == 0};
}

void check_received(std::string_view field) {
  demand(field.ends_with("\r\n"), "a field has its end");
  auto alone = mail::header_block::parse(field);
  demand(alone && alone->fields().size() == 1 && alone->size() == field.size(), "nothing breaks out of Received");
  for (std::size_t line = 0; line < field.size();) {
    auto end = field.find("\r\n", line);
    demand(end - line <= 998, "lines have their limit");
    line = end + 2;
  }
}

void check_prepared(std::string_view text, const mail::header_block& before, unsigned seed) {
  mail::prepare_options options;
  options.received_max = 5;
  auto made = mail::prepare_header(sliced(text, seed), info_of(text), options);
  if (!made)
    return demand(before.count("received") > 5, "only a loop is refused");
  auto message = made->message.flatten();
  auto after = mail::header_block::parse(std::string_view{message});
  demand(after.has_value() && after->has_separator(), "what is prepared has a header and its end");
  demand(after->count("Bcc") == 0 && after->count("Resent-Bcc") == 0, "Bcc is gone");
  demand(after->count("Received") == before.count("Received") + 1, "one Received came");
  demand(after->count("Date") >= 1 && after->count("Message-ID") >= 1, "Date and Message-ID are there");
  demand(message.substr(after->body_offset()) == text.substr(before.body_offset()), "the body is the same");
  check_received(mail::received_field(info_of(text)));
  auto as_signed = dkim::header_fields::of(sliced(message, seed), 1 << 20);
  demand(as_signed && as_signed->complete(), "the signer finds the header");
  demand(as_signed->body_offset() == after->body_offset(), "the signer finds the body where it is");
  for (auto name : probed_names) {
    std::string lower{name};
    for (auto& c : lower)
      c = static_cast<char>(c | 0x20);
    demand(as_signed->named(lower).size() == after->count(name), "the signer sees the fields that policies see");
  }
}

} // namespace

void header(std::string_view input) {
  auto options = take_octet(input);
  auto seed = 2u + take_octet(input);
  auto text = (options & 1) != 0 ? std::string{input} : normalized(input);
  auto header = mail::header_block::parse(std::string_view{text});
  for (auto cuts : {cut_everywhere, seed}) {
    auto in_slices = mail::header_block::parse(sliced(text, cuts));
    demand(header.has_value() == in_slices.has_value(), "the same in slices");
    demand(!header || (same_fields(*header, *in_slices) && header->body_offset() == in_slices->body_offset()),
           "the same fields in slices");
  }
  if (!header)
    return;
  check_fields(*header, text);
  auto body = std::string_view{text}.substr(header->body_offset());
  auto relaxed = relaxed_body_of(body, cut_nowhere);
  demand(relaxed_body_of(body, cut_everywhere) == relaxed && relaxed_body_of(body, seed) == relaxed,
         "a body relaxes the same at every cut");
  demand(relaxed_body_of(relaxed, cut_nowhere) == relaxed, "relaxing a body twice changes nothing");
  if ((options & 1) == 0)
    check_prepared(text, *header, seed);
}

} // namespace hedwig::fuzz
