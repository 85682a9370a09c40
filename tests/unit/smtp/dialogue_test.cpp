// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <random>
#include <set>

#include "tests/unit/smtp/dialogue.hpp"

namespace hedwig::smtp::test {
namespace {

namespace fs = std::filesystem;

const fs::path folder = "tests/dialogues";

std::vector<std::string> names() {
  std::vector<std::string> found;
  for (auto& entry : fs::directory_iterator{folder})
    if (entry.path().extension() == ".dialogue")
      found.push_back(entry.path().stem().string());
  std::ranges::sort(found);
  return found;
}

class dialogue_file : public testing::TestWithParam<std::string> {
protected:
  dialogue read() { return read_dialogue(folder / (GetParam() + ".dialogue")); }
};

TEST_P(dialogue_file, goes_as_written_in_whole_pieces) {
  EXPECT_EQ(play(read(), [](std::size_t left) { return left; }), "");
}

TEST_P(dialogue_file, goes_the_same_byte_by_byte) {
  EXPECT_EQ(play(read(), [](std::size_t) { return std::size_t{1}; }), "");
}

// Every piece the client sends is cut at every place once.
TEST_P(dialogue_file, goes_the_same_cut_in_two_anywhere) {
  auto what = read();
  std::size_t longest = 0;
  std::size_t piece = 0;
  for (auto& next : what.steps) {
    piece = next.what == step::kind::client ? piece + next.text.size() : 0;
    longest = std::max(longest, piece);
  }
  auto stride =
      longest / std::clamp<std::size_t>(20'000'000 / (longest + 1), 50, 1500) + 1; // all, unless it is a big one
  for (std::size_t first = 1; first < longest; first += stride) {
    bool begun = false;
    auto cut = [&](std::size_t left) {
      begun = !begun;
      return begun ? std::min(first, left) : left;
    };
    ASSERT_EQ(play(what, cut), "") << "cut behind byte " << first;
  }
}

TEST_P(dialogue_file, goes_the_same_in_random_pieces) {
  auto what = read();
  for (unsigned seed = 1; seed <= 20; ++seed) {
    std::minstd_rand random{seed};
    auto cut = [&](std::size_t left) { return std::min<std::size_t>(left, 1 + random() % (seed % 2 == 0 ? 7 : 300)); };
    ASSERT_EQ(play(what, cut), "") << "seed " << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(all, dialogue_file, testing::ValuesIn(names()), [](const auto& named) { return named.param; });

// Those that only policy gives are counted by the actors' tests.
TEST(dialogue_files, show_every_refusal_of_the_protocol) {
  std::set<refusal_reason> shown;
  for (auto& name : names())
    for (auto why : refusals_in(read_dialogue(folder / (name + ".dialogue"))))
      shown.insert(why);
  using enum refusal_reason;
  const std::set policy{none, client_limit, auth_locked, relay,        sender,          from, user_limit, header,
                        loop, memory,       storage,     storage_full, tls_unavailable, other};
  for (std::size_t i = 0; i < refusal_reasons; ++i) {
    auto why = static_cast<refusal_reason>(i);
    EXPECT_NE(shown.contains(why), policy.contains(why)) << to_string_view(why);
  }
}

TEST(refusal_words, have_words_of_their_own) {
  std::set<std::string_view> words;
  for (std::size_t i = 0; i < refusal_reasons; ++i)
    words.insert(to_string_view(static_cast<refusal_reason>(i)));
  EXPECT_EQ(words.size(), refusal_reasons);
  EXPECT_FALSE(words.contains(""));
  // An operator finds each of them explained.
  std::ifstream in{"docs/operations.md"};
  std::string manual{std::istreambuf_iterator{in}, {}};
  for (auto word : words)
    EXPECT_TRUE(word == "none" || manual.contains("`" + std::string{word} + "`")) << word;
}

TEST(dialogue_player, sees_a_wrong_reply_a_wrong_body_and_a_wrong_end) {
  auto whole = [](std::size_t left) { return left; };
  dialogue what;
  what.settings.hostname = "h";
  what.steps = {{step::kind::server, "220 wrong\r\n", 1}};
  EXPECT_NE(play(what, whole), "");
  what.steps = {{step::kind::server, "220 ...\r\n", 1}, {step::kind::end, "quit", 2}};
  EXPECT_NE(play(what, whole), "");
  what.steps = {{step::kind::server, "220 ...\r\n", 1}};
  EXPECT_EQ(play(what, whole), "");
  for (auto* text : {"EHLO c\r\n", "MAIL FROM:<>\r\n", "RCPT TO:<a@b>\r\n", "DATA\r\n", "x\r\n.\r\n"})
    what.steps.push_back({step::kind::client, text, 2});
  for (auto* text : {"250 ...\r\n", "250 ...\r\n", "250 ...\r\n", "354 ...\r\n", "250 ...\r\n"})
    what.steps.push_back({step::kind::server, text, 3});
  EXPECT_NE(play(what, whole), "") << "nobody asked for the message";
  what.steps.push_back({step::kind::message, "ESMTP <> to <a@b>", 4});
  what.steps.push_back({step::kind::body, "y\r\n", 5});
  EXPECT_NE(play(what, whole), "");
  what.steps.back().text = "x\r\n";
  EXPECT_EQ(play(what, whole), "");
}

} // namespace
} // namespace hedwig::smtp::test
