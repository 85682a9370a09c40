// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/filter/samples.hpp"

#include <fmt/format.h>

namespace hedwig::check::filter {

namespace {

using fields = std::vector<std::pair<std::string, std::string>>;

sample with_body(std::string name, std::string body) {
  auto made = ordinary_message();
  made.body = std::move(body);
  return {std::move(name), std::move(made)};
}

sample with_fields(std::string name, fields all) {
  auto made = ordinary_message();
  made.fields = std::move(all);
  return {std::move(name), std::move(made)};
}

fields many_fields(std::size_t count) {
  fields all;
  for (std::size_t i = 0; i < count; ++i)
    all.emplace_back(i % 2 == 0 ? "Received" : fmt::format("X-Field-{}", i), fmt::format("value {}", i));
  return all;
}

sample from_to(std::string name, std::string sender, std::vector<std::string> recipients) {
  auto made = ordinary_message();
  made.sender = std::move(sender);
  made.recipients = std::move(recipients);
  return {std::move(name), std::move(made)};
}

} // namespace

known_message ordinary_message() {
  known_message made;
  made.recipients = {"recipient@example.net"};
  made.fields = {{"Received", "from client.example.org (192.0.2.1) by mx.example.net; Mon, 1 Jan 2024 10:00:00 +0000"},
                 {"From", "Sender <sender@example.org>"},
                 {"To", "recipient@example.net"},
                 {"Subject", "An ordinary message"},
                 {"Date", "Mon, 1 Jan 2024 10:00:00 +0000"},
                 {"Message-ID", "<1@example.org>"}};
  made.body = "Hello,\r\n\r\nthis is an ordinary message of a few lines.\r\n.\r\n-- \r\nThe sender\r\n";
  return made;
}

std::vector<sample> plain_samples(const context& run) {
  auto two = ordinary_message();
  two.recipients = {"first@example.net", "second@example.com"};
  two.fields[3].second = "=?utf-8?Q?Gr=C3=BC=C3=9Fe?=";
  auto login = ordinary_message();
  login.identity = "user";
  std::vector<sample> all{{"an ordinary message", ordinary_message()},
                          {"a message to two", two},
                          {"a message of a user who has logged in", login}};
  auto& own = run.settings().messages();
  for (std::size_t i = 0; i < own.size(); ++i)
    all.push_back({fmt::format("check.messages {}", i + 1), own[i]});
  return all;
}

std::vector<sample> odd_messages() {
  using namespace std::string_literals;
  auto empty = with_fields("a message without header and body", {});
  empty.message.body.clear();
  std::string every_byte;
  for (int i = 0; i < 1024; ++i)
    every_byte += static_cast<char>(i);
  return {empty,
          with_fields("a message without header", {}),
          with_body("a message without body", ""),
          with_body("a body with NUL and every other byte", every_byte),
          with_body("a body with CR and LF alone", "one\rtwo\nthree\r\r\nfour\n\n\r"),
          with_body("a body of one byte", "x"),
          with_body("a body with a line of 100,000 bytes", std::string(100'000, 'x') + "\r\n"),
          with_fields("a header in 8 bits and broken UTF-8",
                      {{"Subject", "Gr\xC3\xBC\xC3\x9F\x65 \xFF\xC0\x80"}, {"From", "\xE4\xF6\xFC@example.org"}}),
          with_fields("fields with empty values and odd names",
                      {{"Subject", ""}, {"X-!#$%&'*+-^_`|~", "x"}, {"from", ""}, {"FROM", " \t "}, {"X", "\t"}}),
          with_fields("a header of 1,000 fields", many_fields(1000)),
          with_fields("a field of 100,000 bytes", {{"Subject", std::string(100'000, 'y')}, {"To", "a@example.net"}}),
          with_fields("fields of a stranger's making", {{"To", "%s%n%s, <<<>>>, \"\", ,,, ;"},
                                                        {"Date", "never"},
                                                        {"Content-Type", "multipart/mixed; boundary="},
                                                        {"MIME-Version", "\\0"},
                                                        {"Authentication-Results", "mx.example.net; spf=pass"}})};
}

std::vector<sample> odd_envelopes() {
  auto unknown = ordinary_message();
  unknown.peer.clear();
  unknown.helo.clear();
  auto six = ordinary_message();
  six.peer = "2001:db8::1";
  six.peer_name = "client.example.org";
  six.helo = "[IPv6:2001:db8::1]";
  std::vector<std::string> hundred;
  for (int i = 0; i < 100; ++i)
    hundred.push_back(fmt::format("r{}@example.net", i));
  auto nobody = from_to("a sender and no recipient", "sender@example.org", {});
  return {from_to("the null sender", "", {"recipient@example.net"}),
          from_to("postmaster", "sender@example.org", {"postmaster", "Postmaster@EXAMPLE.net"}),
          from_to("address literals", "sender@[192.0.2.1]", {"recipient@[IPv6:2001:db8::2]"}),
          from_to("quoted local parts", "\"a b@c\"@example.org", {"\"x\\\"y\"@example.net", "a+b=c/d@example.net"}),
          from_to("addresses in UTF-8", "gr\xC3\xBC\xC3\x9F@b\xC3\xBC.example", {"\xE5\x85\x83@\xE4\xBE\x8B.example"}),
          from_to("long addresses",
                  std::string(64, 'l') + "@" + std::string(63, 'd') + "." + std::string(63, 'e') + ".org",
                  {std::string(64, 'r') + "@example.net"}),
          from_to("one recipient twice", "sender@example.org", {"recipient@example.net", "recipient@example.net"}),
          from_to("a hundred recipients", "sender@example.org", hundred),
          nobody,
          {"a client of whom nothing is known", unknown},
          {"a client over IPv6", six}};
}

} // namespace hedwig::check::filter
