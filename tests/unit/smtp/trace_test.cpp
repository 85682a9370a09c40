// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "runtime/smtp/sasl.hpp"
#include "runtime/smtp/trace_board.hpp"
#include "tests/unit/smtp/dialogue.hpp"

namespace hedwig::smtp::test {
namespace {

using std::chrono::seconds;

const steady_time start{std::chrono::hours{1}};

class still_clock final : public hedwig::clock {
public:
  [[nodiscard]] wall_time wall() const noexcept override { return wall_time{std::chrono::hours{1000}}; }
  [[nodiscard]] steady_time steady() const noexcept override { return start; }
};

session_filter of_user(std::string user) { return {.client = {}, .user = std::move(user), .listener = {}}; }

net::address address_of(std::string_view text) { return *net::address::parse(text, 25); }

TEST(session_filter, fits_where_every_part_fits) {
  session_filter one{.client = *net::network::parse("192.0.2.0/24"), .user = "ann", .listener = "in"};
  EXPECT_TRUE(one.fits(address_of("192.0.2.9"), "ann", "in"));
  EXPECT_FALSE(one.fits(address_of("192.0.3.9"), "ann", "in"));
  EXPECT_FALSE(one.fits(address_of("192.0.2.9"), "", "in"));
  EXPECT_FALSE(one.fits(address_of("192.0.2.9"), "ann", "out"));
  EXPECT_FALSE(one.fits(address_of("2001:db8::1"), "ann", "in"));
  EXPECT_TRUE(session_filter{}.fits(address_of("2001:db8::1"), "", "in"));
}

TEST(trace_board, has_epoch_zero_while_nobody_traces_and_a_new_one_at_each_change) {
  trace_board board;
  EXPECT_EQ(board.epoch(), 0u);
  auto one = board.begin(of_user("ann"), seconds{60}, start);
  auto first = board.epoch();
  EXPECT_NE(first, 0u);
  auto two = board.begin(of_user("bob"), seconds{60}, start);
  EXPECT_NE(board.epoch(), first);
  EXPECT_EQ(board.fitting(address_of("192.0.2.1"), "bob", "in", start).size(), 1u);
  EXPECT_TRUE(board.end(one->id()));
  EXPECT_FALSE(board.end(one->id()));
  EXPECT_TRUE(board.end(two->id()));
  EXPECT_EQ(board.epoch(), 0u);
}

TEST(trace_board, takes_no_more_traces_than_its_limit) {
  trace_board board{{.traces_max = 2}};
  auto one = board.begin(of_user("a"), seconds{60}, start);
  EXPECT_NE(board.begin(of_user("b"), seconds{60}, start), nullptr);
  EXPECT_EQ(board.begin(of_user("c"), seconds{60}, start), nullptr);
  board.end(one->id());
  EXPECT_NE(board.begin(of_user("c"), seconds{60}, start), nullptr);
}

TEST(trace_board, ends_a_trace_whose_time_is_up_however_often_it_is_asked) {
  trace_board board;
  auto one = board.begin(of_user("ann"), seconds{20}, start);
  std::ignore = one->fetch(1, start + seconds{10});
  EXPECT_NE(board.find(one->id(), start + seconds{19}), nullptr);
  std::ignore = one->fetch(1, start + seconds{19});
  EXPECT_EQ(board.find(one->id(), start + seconds{20}), nullptr);
  EXPECT_EQ(board.epoch(), 0u);
}

TEST(trace_board, ends_a_trace_that_nobody_fetches_and_frees_its_lines) {
  trace_board board;
  auto one = board.begin(of_user("ann"), seconds{3600}, start);
  one->add({.text = "kept"});
  std::ignore = one->fetch(1, start + seconds{10});
  EXPECT_EQ(board.fitting(address_of("192.0.2.1"), "ann", "in", start + seconds{24}).size(), 1u);
  EXPECT_TRUE(board.fitting(address_of("192.0.2.1"), "ann", "in", start + seconds{25}).empty());
  one->add({.text = "too late"});
  EXPECT_TRUE(one->fetch(1, start).empty());
}

TEST(trace, gives_lines_again_until_the_next_ones_are_asked_for) {
  trace_board board;
  auto one = board.begin(of_user("ann"), seconds{60}, start);
  one->add({.text = "a"});
  one->add({.text = "b"});
  EXPECT_EQ(one->fetch(1, start).size(), 2u);
  auto again = one->fetch(1, start);
  ASSERT_EQ(again.size(), 2u);
  EXPECT_EQ(again[1].number, 2u);
  one->add({.text = "c"});
  auto rest = one->fetch(3, start);
  ASSERT_EQ(rest.size(), 1u);
  EXPECT_EQ(rest[0].text, "c");
}

TEST(trace, tells_of_lines_that_a_slow_console_missed_where_they_are_missing) {
  trace_board board{{.lines_max = 4}};
  auto one = board.begin(of_user("ann"), seconds{60}, start);
  for (auto* text : {"1", "2", "3", "4", "5"})
    one->add({.text = text});
  auto first = one->fetch(1, start);
  ASSERT_EQ(first.size(), 3u);
  EXPECT_EQ(first[2].text, "3");
  auto second = one->fetch(4, start);
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0].who, '!');
  EXPECT_EQ(second[0].text, "2 lines were dropped here");
  one->add({.text = "6"});
  EXPECT_EQ(one->fetch(5, start).at(0).text, "6");
  EXPECT_EQ(one->dropped(), 2u);
}

TEST(trace, cuts_long_lines) {
  trace_board board{{.line_octets_max = 10}};
  auto one = board.begin(of_user("ann"), seconds{60}, start);
  one->add({.text = std::string(100, 'x')});
  EXPECT_EQ(one->fetch(1, start).at(0).text, "xxxxxxxxxx...");
}

TEST(shown_command, hides_what_may_be_a_secret) {
  EXPECT_EQ(shown_command("MAIL FROM:<ann@example.org> SIZE=3", false), "MAIL FROM:<ann@example.org> SIZE=3");
  EXPECT_EQ(shown_command("auth plain AGFubgBzZWNyZXQ=", false), "AUTH PLAIN <16 octets hidden>");
  EXPECT_EQ(shown_command("AUTH  LOGIN", false), "AUTH LOGIN");
  EXPECT_EQ(shown_command("AUTH", false), "AUTH");
  EXPECT_EQ(shown_command("AUTH AGFubgBzZWNyZXQ=", false), "AUTH <16 octets hidden>");
  EXPECT_EQ(shown_command("AUHT PLAIN AGFubgBzZWNyZXQ=", false), "AUHT <22 octets hidden>");
  EXPECT_EQ(shown_command("AUTH=PLAIN AGFubgBzZWNyZXQ=", false), "<27 octets that are no command>");
  EXPECT_EQ(shown_command(" AUTH PLAIN secret", false), "<18 octets that are no command>");
  EXPECT_EQ(shown_command("secret", true), "<6 octets that are no command>");
  EXPECT_EQ(shown_command("", false), "<0 octets that are no command>");
  EXPECT_EQ(shown_response("AGFubgBzZWNyZXQ="), "<16 octets hidden>");
  EXPECT_EQ(shown_response("*"), "*");
  EXPECT_EQ(shown_reply("334 VXNlcm5hbWU6"), "334 <12 octets hidden>");
  EXPECT_EQ(shown_reply("235 2.7.0 Authentication succeeded"), "235 2.7.0 Authentication succeeded");
}

class remembering_tap final : public dialogue_tap {
public:
  void client_said(std::string_view what) override { lines.emplace_back(what); }
  std::vector<std::string> lines;
};

// Words of the client that decode to what must not be seen.
std::set<std::string> secrets_in(const dialogue& what) {
  std::set<std::string> found;
  for (auto& next : what.steps) {
    if (next.what != step::kind::client)
      continue;
    auto text = next.text;
    for (std::size_t at = 0; at < text.size();) {
      auto end = std::min(text.find_first_of(" \r\n", at), text.size());
      auto word = text.substr(at, end - at);
      at = end + 1;
      auto decoded = decode_base64(word);
      if (!decoded || word.size() < 8)
        continue;
      for (auto* secret : {"secret", "good-token", "bad-token", "wrong", "p=", "auth=", "user@example.org", "n=user"})
        if (decoded->find(secret) != std::string::npos)
          found.insert(word);
    }
  }
  return found;
}

TEST(dialogue_tap, is_shown_no_secret_in_any_dialogue) {
  std::size_t secrets = 0;
  for (auto& entry : std::filesystem::directory_iterator{"tests/dialogues"}) {
    if (entry.path().extension() != ".dialogue")
      continue;
    auto what = read_dialogue(entry.path());
    remembering_tap tap;
    EXPECT_EQ(play(
                  what, [](std::size_t left) { return left; }, &tap),
              "");
    auto hidden = secrets_in(what);
    secrets += hidden.size();
    for (auto& line : tap.lines)
      for (auto& secret : hidden)
        EXPECT_EQ(line.find(secret), std::string::npos) << what.name << ": " << line;
  }
  EXPECT_GT(secrets, 20u);
}

TEST(dialogue_tap, hears_a_whole_session_without_its_content) {
  remembering_tap tap;
  EXPECT_EQ(
      play(
          read_dialogue("tests/dialogues/bdat_and_data.dialogue"), [](std::size_t) { return std::size_t{1}; }, &tap),
      "");
  auto count = [&](std::string_view start_of) {
    return std::ranges::count_if(tap.lines, [&](auto& line) { return line.starts_with(start_of); });
  };
  EXPECT_GE(count("MAIL FROM:"), 2);
  EXPECT_GE(count("<message of "), 1);
  EXPECT_GE(count("<chunk of "), 1);
  for (auto& line : tap.lines)
    EXPECT_EQ(line.find("Subject:"), std::string::npos) << line;
}

TEST(trace_writer, writes_each_reply_line_once_and_hides_challenges) {
  still_clock time;
  trace_board board;
  auto one = board.begin(of_user("ann"), seconds{60}, start);
  trace_writer pen{time, 7, "192.0.2.1:4242"};
  pen.write_to({one}, "at in");
  pen.write_to({one}, "at in, but already known");
  pen.we_said("250-relay.example\r\n250 SIZE 5\r\n334 c2VjcmV0\r\n");
  pen.client_said("QUIT");
  pen.note("the client closed");
  std::string all;
  for (auto& line : one->fetch(1, start)) {
    EXPECT_EQ(line.session, 7u);
    EXPECT_EQ(line.client, "192.0.2.1:4242");
    EXPECT_EQ(line.when, time.wall());
    all += line.who + line.text + "|";
  }
  EXPECT_EQ(all, "*at in|S250-relay.example|S250 SIZE 5|S334 <8 octets hidden>|CQUIT|*the client closed|");
}

} // namespace
} // namespace hedwig::smtp::test
