// SPDX-License-Identifier: Apache-2.0
#include "runtime/smtp/reply.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace hedwig::smtp {
namespace {

std::vector<std::string> lines_of(const std::string& wire) {
  std::vector<std::string> out;
  for (std::size_t begin = 0; begin < wire.size();) {
    auto end = wire.find("\r\n", begin);
    out.push_back(wire.substr(begin, end - begin));
    begin = end + 2;
  }
  return out;
}

TEST(reply, has_code_status_and_text) {
  EXPECT_EQ(to_wire(replies::relaying_denied), "550 5.7.1 Relaying denied\r\n");
  EXPECT_EQ(to_wire({250, {}, "plain"}), "250 plain\r\n");
  EXPECT_EQ(to_wire({250, {2, 0, 0}, ""}), "250 2.0.0 \r\n");
}

TEST(reply, repeats_code_and_status_on_each_line) {
  EXPECT_EQ(to_wire({550, {5, 7, 1}, "one\ntwo\nthree"}), "550-5.7.1 one\r\n550-5.7.1 two\r\n550 5.7.1 three\r\n");
  EXPECT_EQ(to_wire({550, {5, 7, 1}, "one\n"}), "550 5.7.1 one\r\n");
  EXPECT_EQ(to_wire({550, {5, 7, 1}, "a\n\nb"}), "550-5.7.1 a\r\n550-5.7.1 \r\n550 5.7.1 b\r\n");
}

TEST(reply, fixed_texts_go_the_fast_way_to_the_same_bytes) {
  for (auto& known : {replies::ok, replies::start_data, replies::timed_out, replies::unknown_parameter}) {
    std::string fast;
    append_wire(fast, known);
    EXPECT_EQ(fast, to_wire(known));
  }
}

TEST(reply, wraps_long_text_at_words_and_loses_none) {
  std::string text;
  for (int i = 0; i < 300; ++i)
    text += "word" + std::to_string(i) + " ";
  auto lines = lines_of(to_wire({451, {4, 7, 1}, text}));
  std::string back;
  for (auto& line : lines) {
    EXPECT_LE(line.size() + 2, reply_line_octets_max);
    back += line.substr(10);
  }
  EXPECT_EQ(back, text);
  EXPECT_EQ(lines.back()[3], ' ');
  EXPECT_EQ(lines.front()[3], '-');
}

TEST(reply, wraps_text_without_words_and_stops_somewhere) {
  auto lines = lines_of(to_wire({451, {4, 7, 1}, std::string(100'000, 'x')}));
  EXPECT_EQ(lines.size(), reply_lines_max);
  EXPECT_EQ(lines.back()[3], ' ');
  auto many = lines_of(to_wire({451, {4, 7, 1}, std::string(100'000, '\n')}));
  EXPECT_EQ(many.size(), reply_lines_max);
  EXPECT_EQ(many.back()[3], ' ');
}

TEST(reply, keeps_utf8_only_where_it_may_and_never_cuts_a_character) {
  std::string text;
  for (int i = 0; i < 600; ++i)
    text += "\xC3\xBC";
  std::string wire;
  append_wire(wire, reply{550, {5, 1, 1}, text}, true);
  for (auto& line : lines_of(wire))
    EXPECT_TRUE(mail::is_utf8(line));
  EXPECT_EQ(to_wire({550, {}, "\xC3\xBC"}), "550 ??\r\n");
  wire.clear();
  append_wire(wire, reply{550, {}, "\xC3"}, true);
  EXPECT_EQ(wire, "550 ?\r\n");
}

TEST(reply, statuses_of_the_sdk_decide_the_class_in_one_table) {
  EXPECT_EQ(storage_reply(HEDWIG_OK).code, 250);
  EXPECT_EQ(storage_reply(HEDWIG_E_NO_SPACE).code, 452);
  for (hedwig_status status : {HEDWIG_E_BUSY, HEDWIG_E_IO, HEDWIG_E_TIMEOUT, HEDWIG_E_INTERNAL, hedwig_status{-99}})
    EXPECT_EQ(storage_reply(status).code, 451) << status;
  EXPECT_EQ(auth_reply(HEDWIG_E_DENIED).code, 535);
  EXPECT_EQ(auth_reply(HEDWIG_E_NOT_FOUND).code, 535);
  for (hedwig_status status : {HEDWIG_E_BUSY, HEDWIG_E_UNAVAILABLE, HEDWIG_E_TIMEOUT, hedwig_status{-99}})
    EXPECT_EQ(auth_reply(status).code, 454) << status;
  EXPECT_EQ(header_reply(mail::header_fault::loop).code, 554);
  EXPECT_EQ(header_reply(mail::header_fault::too_long).code, 552);
}

} // namespace
} // namespace hedwig::smtp
