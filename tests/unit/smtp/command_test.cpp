// SPDX-License-Identifier: Apache-2.0
#include "runtime/smtp/command.hpp"

#include <gtest/gtest.h>

#include <ctime>

#include "runtime/smtp/path.hpp"
#include "runtime/smtp/sasl.hpp"

namespace hedwig::smtp {
namespace {

using namespace std::string_literals;

TEST(command, mail_gives_path_and_parameters) {
  auto parsed = parse_command("MAIL FROM:<a@b.example> SIZE=123 BODY=8BITMIME SMTPUTF8", {});
  ASSERT_TRUE(parsed);
  auto& got = std::get<mail_command>(*parsed);
  EXPECT_EQ(got.reverse_path.text(), "a@b.example");
  EXPECT_EQ(got.parameters.size, 123U);
  EXPECT_EQ(got.parameters.body, body_type::eight_bit);
  EXPECT_TRUE(got.parameters.smtputf8);
}

TEST(command, size_beyond_64_bits_is_the_greatest_size) {
  auto parsed = parse_command("MAIL FROM:<> SIZE=18446744073709551616", {});
  ASSERT_TRUE(parsed);
  EXPECT_EQ(std::get<mail_command>(*parsed).parameters.size, ~std::uint64_t{0});
}

TEST(command, a_quoted_local_part_may_hold_what_looks_like_the_end) {
  auto parsed = parse_command("RCPT TO:<\"a> SIZE=1 <b\"@c.example>", {});
  ASSERT_TRUE(parsed);
  EXPECT_EQ(std::get<rcpt_command>(*parsed).forward_path.domain(), "c.example");
}

TEST(command, auth_keeps_its_initial_response) {
  auto parsed = parse_command("AUTH PLAIN abcd", {});
  ASSERT_TRUE(parsed);
  EXPECT_EQ(std::get<auth_command>(*parsed).mechanism, "PLAIN");
  EXPECT_EQ(std::get<auth_command>(*parsed).initial_response, "abcd");
  EXPECT_FALSE(std::get<auth_command>(*parse_command("AUTH LOGIN", {})).initial_response);
}

TEST(command, verb_of_knows_commands_only) {
  EXPECT_EQ(verb_of("mail FROM:<>"), "MAIL");
  EXPECT_EQ(verb_of("QUIT"), "QUIT");
  EXPECT_EQ(verb_of("QUITX"), "");
  EXPECT_EQ(verb_of(""), "");
}

TEST(command, http_is_seen) {
  for (auto* line : {"GET / HTTP/1.1", "post /x HTTP/1.0", "CONNECT a:25 HTTP/1.1", "PRI * HTTP/2.0", "Host: x"})
    EXPECT_TRUE(std::holds_alternative<http_command>(*parse_command(line, {}))) << line;
}

TEST(command, hostile_lines_cost_linear_time) {
  auto begin = std::clock();
  for (auto& piece : {" "s, "x "s, "a="s, "\"\\\""s, "@"s, "<"s, "+41"s})
    for (auto* front : {"MAIL FROM:<a@b>", "RCPT TO:<", "EHLO ", "AUTH ", "MAIL FROM:<> AUTH=", ""}) {
      std::string line = front;
      while (line.size() < 500'000)
        line += piece;
      [[maybe_unused]] auto ignored = parse_command(line, {});
    }
  EXPECT_LT(std::clock() - begin, 5 * CLOCKS_PER_SEC);
}

TEST(path, postmaster_needs_its_bracket) {
  for (std::string_view text : {"<postmaster>", "<POSTMASTER> X"})
    EXPECT_TRUE(take_forward_path(text)) << text;
  for (std::string_view text : {"<postmaster", "postmaster>", "<postmaster >", "<postmasters>", "<>", ""})
    EXPECT_FALSE(take_forward_path(text)) << text;
}

TEST(xtext, is_decoded_exactly) {
  EXPECT_EQ(decode_xtext("a+2Bb+3D"), "a+b=");
  EXPECT_EQ(decode_xtext(""), "");
  for (auto* text : {"+", "+2", "+2b", "+zz", "a b", "a=b", "a\x7f", "\xC3\xBC"})
    EXPECT_FALSE(decode_xtext(text)) << text;
}

TEST(base64, there_and_back) {
  for (auto& bytes : {""s, "f"s, "fo"s, "foo"s, "foob"s, "\0\xff\x80"s}) {
    EXPECT_EQ(decode_base64(encode_base64(bytes)), bytes);
  }
  EXPECT_EQ(encode_base64("foob"), "Zm9vYg==");
}

TEST(base64, is_strict) {
  for (auto* text :
       {"Z", "Zg", "Zg=", "Zh==", "Zm9=", "Zg==Zg==", "Zm 9v", "Zm9v\n", "====", "=", "A===", "Zm-v", "\xC3\xBC++"})
    EXPECT_FALSE(decode_base64(text)) << text;
}

TEST(secret, is_gone_when_wiped_or_moved_from) {
  secret first{"hunter2 and a long tail that is no small string"};
  auto second = std::move(first);
  EXPECT_EQ(first.view(), ""); // NOLINT: that is the promise
  EXPECT_TRUE(second.view().starts_with("hunter2"));
  second.wipe();
  EXPECT_EQ(second.view(), "");
}

TEST(secret, wiping_overwrites_the_bytes) {
  std::string bytes = "a password that does not fit into the string itself";
  auto* at = bytes.data();
  auto size = bytes.size();
  wipe(bytes);
  EXPECT_TRUE(bytes.empty());
  // The memory is still the string's own; only its end has moved.
  EXPECT_EQ(std::string_view(at, size), std::string(size, '\0'));
}

} // namespace
} // namespace hedwig::smtp
