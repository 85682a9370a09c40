// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>

#include "app/sink/end_of_data.hpp"
#include "app/sink/message_store.hpp"
#include "app/sink/options.hpp"
#include "app/sink/script.hpp"

namespace hedwig::sink {
namespace {

using namespace std::chrono_literals;

TEST(sink_script, matches_patterns_with_stars_and_question_marks) {
  EXPECT_TRUE(matches_pattern("*@bad.test", "A@BAD.test"));
  EXPECT_TRUE(matches_pattern("*", ""));
  EXPECT_TRUE(matches_pattern("a?c*", "abcdef"));
  EXPECT_TRUE(matches_pattern("*a*b*", "xxaxxbxx"));
  EXPECT_FALSE(matches_pattern("*@bad.test", "a@bad.test.org"));
  EXPECT_FALSE(matches_pattern("a?c", "ac"));
  EXPECT_FALSE(matches_pattern("", "a"));
}

TEST(sink_script, reads_durations) {
  EXPECT_EQ(parse_duration("250ms").value(), 250ms);
  EXPECT_EQ(parse_duration("1.5s").value(), 1500ms);
  EXPECT_EQ(parse_duration("2").value(), 2s);
  EXPECT_EQ(parse_duration("1m").value(), 60s);
  for (const char* wrong : {"", "s", "-1s", "1h", "1 s", "99999m"})
    EXPECT_FALSE(parse_duration(wrong)) << wrong;
}

TEST(sink_script, lets_the_first_matching_reply_win) {
  script s;
  ASSERT_TRUE(s.add_reply("rcpt:*@gone.test=550 5.1.1 Gone"));
  ASSERT_TRUE(s.add_reply("rcpt=450"));
  EXPECT_EQ(s.decide(stage::rcpt, "a@gone.test").reply->code, 550);
  EXPECT_EQ(s.decide(stage::rcpt, "a@gone.test").reply->text, "5.1.1 Gone");
  EXPECT_EQ(s.decide(stage::rcpt, "a@x.test").reply->code, 450);
  EXPECT_FALSE(s.decide(stage::mail, "a@gone.test").reply);
}

TEST(sink_script, acts_on_about_the_share_it_was_given_and_repeats_itself) {
  const auto count = [] {
    script s{42};
    EXPECT_TRUE(s.add_drop("dot:10%"));
    int drops = 0;
    for (int i = 0; i < 10'000; ++i)
      drops += s.decide(stage::dot, "").drop ? 1 : 0;
    return drops;
  };
  EXPECT_GT(count(), 850);
  EXPECT_LT(count(), 1150);
  EXPECT_EQ(count(), count());
}

TEST(sink_script, explains_what_is_wrong_with_a_rule) {
  script s;
  EXPECT_NE(s.add_reply("rcpt").error().message.find("rcpt=450"), std::string::npos);
  EXPECT_NE(s.add_reply("nowhere=450").error().message.find("connect, ehlo"), std::string::npos);
  for (const char* wrong : {"rcpt=45", "rcpt=600", "rcpt=450x", "rcpt:=450", "rcpt:101%=450", "rcpt=450 a\r\nb"})
    EXPECT_FALSE(s.add_reply(wrong)) << wrong;
  EXPECT_FALSE(s.add_delay("dot"));
  EXPECT_FALSE(s.add_delay("dot=x"));
  EXPECT_FALSE(s.add_drop("x"));
}

TEST(sink_options, read_values_joined_and_apart) {
  const auto line = parse_command_line({"--listen", "127.0.0.1:0", "--listen=[::1]:25", "--max-size=10", "--print",
                                        "--features", "no-pipelining,no-size", "--idle-timeout=2s"});
  ASSERT_TRUE(line);
  EXPECT_EQ(line->options.listen.size(), 2U);
  EXPECT_EQ(line->options.size_max, 10U);
  EXPECT_TRUE(line->options.print);
  EXPECT_FALSE(line->options.features.pipelining || line->options.features.size);
  EXPECT_TRUE(line->options.features.smtputf8);
  EXPECT_EQ(line->options.idle_timeout, 2s);
}

TEST(sink_options, name_the_option_that_is_wrong) {
  EXPECT_EQ(parse_command_line({"--lisen", "x"}).error().where, "--lisen");
  EXPECT_EQ(parse_command_line({"--max-size", "many"}).error().where, "--max-size");
  EXPECT_EQ(parse_command_line({"--count"}).error().where, "--count");
  EXPECT_EQ(parse_command_line({"--starttls", "yes"}).error().where, "--starttls");
  EXPECT_EQ(parse_command_line({"--cert", "x"}).error().where, "--cert");
  EXPECT_EQ(parse_command_line({"--features", "no-fun"}).error().where, "--features");
}

struct taken {
  std::string text;
  std::string rest;
  bool ended = false;
  std::uint64_t bare = 0;
};

taken feed(std::string_view wire, std::size_t piece) {
  end_of_data scanner;
  taken out;
  for (std::size_t i = 0; i < wire.size() && !out.ended; i += piece) {
    std::string_view bytes = wire.substr(i, piece);
    out.ended = scanner.feed(bytes, out.text, SIZE_MAX);
    out.rest = bytes;
  }
  EXPECT_EQ(scanner.size(), out.text.size());
  out.bare = scanner.bare_line_ends();
  return out;
}

TEST(sink_end_of_data, ends_at_crlf_dot_crlf_at_every_cut) {
  for (const std::size_t piece : {1UL, 2UL, 3UL, 4UL, 5UL, 100UL}) {
    const taken t = feed("S: a\r\n\r\n..dot\r\n.\r\n", piece);
    EXPECT_TRUE(t.ended);
    EXPECT_EQ(t.text, "S: a\r\n\r\n.dot\r\n");
    EXPECT_EQ(t.bare, 0U);
    EXPECT_TRUE(feed(".\r\n", piece).ended);
  }
  EXPECT_EQ(feed("a\r\n.\r\nQUIT\r\n", 100).rest, "QUIT\r\n");
}

TEST(sink_end_of_data, ends_at_nothing_else) {
  for (const std::string_view wire :
       {"a\n.\n", "a\r.\r", "a\r\n.\n", "a\n.\r\n", "a\r\n.\rb", "a\r\n.\r\r\n", "a\r\n. \r\n"})
    for (const std::size_t piece : {1UL, 100UL}) {
      const taken t = feed(wire, piece);
      EXPECT_FALSE(t.ended) << wire;
      EXPECT_EQ(t.bare == 0, wire == "a\r\n. \r\n") << wire;
    }
}

TEST(sink_store, finds_a_folded_subject) {
  EXPECT_EQ(subject_of("From: a\r\nSUBJECT: one\r\n two\r\nTo: b\r\n\r\nSubject: no\r\n"), "one two");
  EXPECT_EQ(subject_of("From: a\r\n\r\nSubject: no\r\n"), "");
}

TEST(sink_store, writes_valid_json_for_odd_texts) {
  received_message m;
  m.sender = "\"a\\\"b\"@x";
  m.recipients = {"c\x01@y", "\xff"};
  const std::string json = envelope_json(m, 3);
  EXPECT_NE(json.find(R"("mail_from":"\"a\\\"b\"@x")"), std::string::npos) << json;
  EXPECT_NE(json.find(R"("rcpt_to":["c @y","?"])"), std::string::npos) << json;
}

} // namespace
} // namespace hedwig::sink
