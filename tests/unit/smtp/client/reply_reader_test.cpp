// SPDX-License-Identifier: Apache-2.0
#include "runtime/smtp/reply_reader.hpp"

#include <gtest/gtest.h>

#include <string>

namespace hedwig::smtp {
namespace {

using progress = reply_reader::progress;

server_reply read_one(std::string_view text) {
  reply_reader reader;
  EXPECT_EQ(reader.feed(text), progress::complete);
  EXPECT_TRUE(text.empty());
  return reader.take();
}

std::string problem_of(std::string_view text, reply_limits limits = {}) {
  reply_reader reader{limits};
  EXPECT_EQ(reader.feed(text), progress::malformed);
  EXPECT_EQ(reader.feed(text), progress::malformed) << "malformed must stay malformed";
  return std::string{reader.problem()};
}

TEST(reply_reader, takes_a_single_line_apart) {
  const server_reply reply = read_one("250 2.1.5 Ok so far\r\n");
  EXPECT_EQ(reply.code, 250);
  EXPECT_EQ(reply.status, (enhanced_status{2, 1, 5}));
  EXPECT_EQ(reply.text, "Ok so far");
}

TEST(reply_reader, joins_the_lines_of_a_reply) {
  const server_reply reply = read_one("550-5.7.1 Not\r\n550-5.7.1 wanted\r\n550 5.7.1 here\r\n");
  EXPECT_EQ(reply.text, "Not wanted here");
  EXPECT_EQ(reply.status.text(), "5.7.1");
  ASSERT_EQ(reply.lines.size(), 3U);
  EXPECT_EQ(reply.lines[1], "5.7.1 wanted");
}

TEST(reply_reader, reads_a_reply_byte_by_byte) {
  reply_reader reader;
  const std::string text = "250-one\r\n250 two\r\n";
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string_view byte{text.data() + i, 1};
    EXPECT_EQ(reader.feed(byte), i + 1 == text.size() ? progress::complete : progress::need_more);
  }
  EXPECT_EQ(reader.take().text, "one two");
  EXPECT_FALSE(reader.in_reply());
}

TEST(reply_reader, leaves_the_next_reply_alone) {
  reply_reader reader;
  std::string_view text = "250 a\r\n550 b\r\n";
  EXPECT_EQ(reader.feed(text), progress::complete);
  EXPECT_EQ(text, "550 b\r\n");
  EXPECT_EQ(reader.take().code, 250);
  EXPECT_EQ(reader.feed(text), progress::complete);
  EXPECT_EQ(reader.take().code, 550);
}

TEST(reply_reader, accepts_a_code_without_text_and_a_bare_line_feed) {
  EXPECT_EQ(read_one("354\r\n").code, 354);
  EXPECT_EQ(read_one("354\n").code, 354);
  EXPECT_EQ(read_one("250 x\n").text, "x");
}

TEST(reply_reader, ignores_an_enhanced_code_of_another_class) {
  const server_reply reply = read_one("550 2.1.5 strange\r\n");
  EXPECT_TRUE(reply.status.empty());
  EXPECT_EQ(reply.text, "2.1.5 strange");
}

TEST(reply_reader, does_not_take_a_version_or_address_for_an_enhanced_code) {
  EXPECT_TRUE(read_one("250 2.0.0.1 x\r\n").status.empty());
  EXPECT_TRUE(read_one("250 2.0 x\r\n").status.empty());
  EXPECT_TRUE(read_one("250 2.1234.0 x\r\n").status.empty());
  EXPECT_TRUE(read_one("250 2.01.0 x\r\n").status.empty());
  EXPECT_EQ(read_one("250 2.0.0\r\n").status, (enhanced_status{2, 0, 0}));
}

TEST(reply_reader, refuses_lines_without_a_code) {
  EXPECT_NE(problem_of("hello\r\n"), "");
  EXPECT_NE(problem_of("\r\n"), "");
  EXPECT_NE(problem_of("25\r\n"), "");
  EXPECT_NE(problem_of("HTTP/1.1 400 Bad Request\r\n"), "");
  EXPECT_NE(problem_of("2500 x\r\n"), "");
  EXPECT_NE(problem_of("250\tx\r\n"), "");
}

TEST(reply_reader, refuses_codes_outside_of_smtp) {
  EXPECT_NE(problem_of("150 x\r\n"), "");
  EXPECT_NE(problem_of("600 x\r\n"), "");
  EXPECT_NE(problem_of("000 x\r\n"), "");
}

TEST(reply_reader, refuses_different_codes_in_one_reply) {
  EXPECT_EQ(problem_of("250-a\r\n550 b\r\n"), "the lines of the reply have different codes");
}

TEST(reply_reader, bounds_an_endless_line) {
  reply_reader reader;
  const std::string chunk(1000, 'x');
  std::string_view first = "250 ";
  EXPECT_EQ(reader.feed(first), progress::need_more);
  progress p = progress::need_more;
  for (int i = 0; i < 3 && p == progress::need_more; ++i) {
    std::string_view more = chunk;
    p = reader.feed(more);
  }
  EXPECT_EQ(p, progress::malformed);
  EXPECT_EQ(reader.problem(), "a line of the reply is too long");
}

TEST(reply_reader, bounds_a_reply_of_ten_thousand_lines) {
  std::string text;
  for (int i = 0; i < 10'000; ++i)
    text += "250-x\r\n";
  EXPECT_EQ(problem_of(text), "the reply has too many lines");
}

TEST(reply_reader, bounds_the_bytes_of_a_reply) {
  std::string text;
  for (int i = 0; i < 40; ++i)
    text += "250-" + std::string(1000, 'x') + "\r\n";
  EXPECT_EQ(problem_of(text), "the reply is too long");
}

TEST(reply_reader, names_the_limit_that_comes_first_at_every_cut) {
  const reply_limits limits{.line_max = 20, .lines_max = 5, .bytes_max = 30, .text_max = 40};
  const std::string text = "250-" + std::string(13, 'x') + "\r\n250-" + std::string(40, 'y') + "\r\n";
  EXPECT_EQ(problem_of(text, limits), "the reply is too long");
  reply_reader reader{limits};
  for (std::string_view rest{text}; !rest.empty() && reader.problem().empty();) {
    auto one = rest.substr(0, 1);
    rest.remove_prefix(1);
    (void)reader.feed(one);
  }
  EXPECT_EQ(reader.problem(), "the reply is too long");
}

TEST(reply_reader, makes_binary_text_printable) {
  using namespace std::string_literals;
  const server_reply reply = read_one("550 a\0b\x01\x1b[31m\rc\xff\xfe d\xc3\xa9\x7f\r\n"s);
  EXPECT_EQ(reply.text, "a b [31m c?? d\xc3\xa9");
}

TEST(reply_reader, cuts_long_text) {
  const server_reply reply = read_one("550 " + std::string(1500, 'y') + "\r\n");
  EXPECT_EQ(reply.text.size(), 512U);
  EXPECT_TRUE(reply.text.ends_with("y..."));
}

} // namespace
} // namespace hedwig::smtp
