// SPDX-License-Identifier: Apache-2.0
// What dialogues cannot show: memory, counters, answers that come late.
#include "runtime/smtp/server_session.hpp"

#include <gtest/gtest.h>

#include <random>

namespace hedwig::smtp {
namespace {

using namespace std::string_view_literals;

class session : public testing::Test {
protected:
  session() : session_{settings_, {"192.0.2.1", 1234, {}, std::nullopt}} {
    session_.start();
    session_.accept();
    feed("EHLO c\r\n");
  }

  // Accepts everything up to take_message.
  void feed(std::string_view bytes) {
    while (!bytes.empty()) {
      auto used = session_.feed(bytes);
      bytes.remove_prefix(used);
      if (session_.pending() != nullptr && !asked<ask::take_message>() && !asked<ask::end>())
        session_.accept();
      else if (used == 0)
        return;
    }
  }
  void to_data() { feed("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"); }
  template <class Question>
  Question* asked() {
    return session_.pending() == nullptr ? nullptr : std::get_if<Question>(session_.pending());
  }

  std::shared_ptr<server_settings> settings_ = std::make_shared<server_settings>();
  server_session session_;
};

TEST_F(session, consumes_nothing_while_a_question_is_open) {
  auto bytes = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"sv;
  EXPECT_EQ(session_.feed(bytes), 17U);
  ASSERT_NE(asked<ask::check_mail>(), nullptr);
  EXPECT_EQ(asked<ask::check_mail>()->reverse_path.text(), "a@b");
  EXPECT_EQ(session_.state(), session_state::waiting);
  EXPECT_EQ(session_.feed(bytes.substr(17)), 0U);
  session_.accept();
  EXPECT_EQ(session_.feed(bytes.substr(17)), 15U);
  ASSERT_NE(asked<ask::check_recipient>(), nullptr);
  EXPECT_TRUE(asked<ask::check_recipient>()->so_far.recipients.empty());
}

// Replies, and what was stored, of one session whose input is cut by `next`.
template <class Next>
std::string whole_dialogue(std::string_view bytes, const std::shared_ptr<server_settings>& settings, Next next) {
  server_session one{settings, {"192.0.2.1", 1234, {}, std::nullopt}};
  std::string seen;
  one.start();
  auto answer = [&] {
    while (one.pending() != nullptr && !one.ended()) {
      if (auto* message = std::get_if<ask::take_message>(one.pending())) {
        seen += one.take_output() + "[" + message->body.flatten() + "]";
        one.message_taken("X");
      } else if (std::holds_alternative<ask::start_tls>(*one.pending())) {
        one.tls_started({"TLSv1.3", "x", {}});
      } else if (auto* to = std::get_if<ask::check_recipient>(one.pending());
                 to != nullptr && to->forward_path.text() == "no@b") {
        one.refuse(replies::recipient_refused);
      } else {
        one.accept();
      }
    }
  };
  answer();
  while (!bytes.empty() && !one.ended()) {
    auto piece = bytes.substr(0, next());
    bytes.remove_prefix(piece.size());
    while (!piece.empty() && !one.ended()) {
      piece.remove_prefix(one.feed(piece));
      answer();
    }
  }
  return seen + one.take_output() + std::string{to_string_view(one.state())};
}

TEST(any_dialogue, gives_the_same_replies_and_messages_at_every_cut) {
  std::mt19937 random{20251125};
  const std::string parts[] = {"EHLO c\r\n",
                               "MAIL FROM:<a@b>\r\n",
                               "MAIL FROM:<a@b> BODY=BINARYMIME\r\n",
                               "RCPT TO:<c@d>\r\n",
                               "RCPT TO:<no@b>\r\n",
                               "DATA\r\n",
                               ".\r\n",
                               "\r\n.\r\n",
                               "..x\r\n",
                               "BDAT 3\r\n",
                               "BDAT 3 LAST\r\n",
                               "BDAT 0 LAST\r\n",
                               "BDAT 40\r\n",
                               "BDAT x\r\n",
                               "abc",
                               "a\r\n",
                               "\n",
                               "\r",
                               "\r\n",
                               "RSET\r\n",
                               "NOOP\r\n",
                               std::string(30, 'y') + "\r\n",
                               std::string("\0", 1)};
  auto settings = std::make_shared<server_settings>();
  settings->limits.bad_commands_max = 10;
  settings->limits.data.body_octets_max = 60;
  settings->limits.data.line_octets_max = 20;
  settings->limits.command_octets_max = 600;
  std::size_t stored = 0;
  for (int round = 0; round < 20'000; ++round) {
    settings->limits.data.endings = round % 2 == 0 ? line_endings::strict : line_endings::normalize;
    std::string bytes = parts[0];
    for (auto more = random() % 40; more > 0; --more) {
      auto which = random() % (std::size(parts) + 8); // what leads to a message comes more often
      bytes += which < std::size(parts) ? parts[which] : which % 2 == 0 ? parts[1] + parts[3] : parts[10] + parts[14];
    }
    auto whole = whole_dialogue(bytes, settings, [] { return std::string::npos; });
    stored += whole.find("queued") != std::string::npos ? 1 : 0;
    ASSERT_EQ(whole_dialogue(bytes, settings, [] { return std::size_t{1}; }), whole) << testing::PrintToString(bytes);
    ASSERT_EQ(whole_dialogue(bytes, settings, [&] { return 1 + random() % 9; }), whole)
        << testing::PrintToString(bytes);
  }
  EXPECT_GT(stored, 2'000U);
}

TEST_F(session, holds_no_more_memory_than_the_message_needs) {
  to_data();
  EXPECT_EQ(session_.body_octets_held(), 0U);
  feed(std::string(100, 'x'));
  EXPECT_EQ(session_.body_octets_held(), body_slice_octets_first);
  std::string lines;
  for (int i = 0; i < 10'000; ++i)
    lines += "0123456789\r\n";
  feed(lines);
  EXPECT_GE(session_.body_octets_held(), lines.size());
  EXPECT_LE(session_.body_octets_held(), lines.size() + 2 * body_slice_octets_max);
  EXPECT_EQ(session_.body_octets(), lines.size() + 100);
}

TEST_F(session, frees_the_body_as_soon_as_it_is_bad) {
  to_data();
  auto before = buffer_bytes_live();
  feed(std::string(50'000, 'x'));
  EXPECT_GT(buffer_bytes_live(), before);
  feed("\nmore");
  EXPECT_EQ(buffer_bytes_live(), before);
  EXPECT_EQ(session_.body_octets_held(), 0U);
}

TEST_F(session, abandoned_message_frees_memory_at_once) {
  to_data();
  auto before = buffer_bytes_live();
  feed(std::string(50'000, 'x'));
  session_.abandon_message(replies::out_of_memory);
  EXPECT_EQ(buffer_bytes_live(), before);
  feed("\r\n.\r\n");
  EXPECT_TRUE(session_.output().ends_with("452 4.3.1 Too busy to take the message now, try again later\r\n"));
  EXPECT_EQ(session_.counters().messages_refused, 1U);
}

TEST_F(session, gives_the_message_away_without_a_copy) {
  to_data();
  feed("body\r\n.\r\n");
  auto* done = asked<ask::take_message>();
  ASSERT_NE(done, nullptr);
  EXPECT_EQ(session_.body_octets_held(), 6U);
  auto body = std::move(done->body);
  auto envelope = std::move(done->envelope);
  session_.message_taken("ID");
  EXPECT_EQ(body.flatten(), "body\r\n");
  EXPECT_EQ(envelope.recipients.at(0).forward_path.text(), "c@d");
  EXPECT_EQ(session_.counters().messages_accepted, 1U);
  EXPECT_TRUE(session_.idle());
}

TEST_F(session, answers_after_the_end_are_ignored) {
  to_data();
  feed("body\r\n.\r\n");
  ASSERT_NE(asked<ask::take_message>(), nullptr);
  session_.shut_down();
  auto said = session_.output();
  session_.message_taken("ID");
  session_.accept();
  session_.refuse(replies::local_error);
  session_.auth_failed();
  session_.timed_out();
  EXPECT_EQ(session_.output(), said);
  EXPECT_EQ(session_.state(), session_state::ended);
  EXPECT_EQ(session_.counters().messages_accepted, 0U);
}

TEST_F(session, an_answer_without_a_question_is_a_bug) {
  EXPECT_DEATH(session_.accept(), "without a question");
  EXPECT_DEATH(session_.message_taken("x"), "without a question");
  EXPECT_DEATH(session_.authenticated("x"), "without");
}

TEST_F(session, is_idle_between_transactions_only) {
  EXPECT_TRUE(session_.idle());
  feed("NOO");
  EXPECT_FALSE(session_.idle());
  feed("P\r\n");
  EXPECT_TRUE(session_.idle());
  feed("MAIL FROM:<>\r\n");
  EXPECT_FALSE(session_.idle());
  feed("RSET\r\n");
  EXPECT_TRUE(session_.idle());
}

TEST_F(session, output_taken_is_gone) {
  session_.output().clear();
  feed("NOOP\r\n");
  EXPECT_EQ(session_.take_output(), "250 2.0.0 Ok\r\n");
  EXPECT_EQ(session_.output(), "");
}

TEST_F(session, an_endless_line_costs_no_memory) {
  std::string piece(10'000, 'x');
  for (int i = 0; i < 100; ++i)
    feed(piece);
  session_.output().clear();
  feed("\r\n");
  EXPECT_EQ(session_.output(), "500 5.5.2 Line too long\r\n");
}

TEST_F(session, counts_what_happened) {
  feed("BAD\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n");
  EXPECT_EQ(session_.counters().bad_commands, 1U);
  EXPECT_EQ(session_.counters().recipients_accepted, 1U);
  EXPECT_EQ(session_.counters().commands, 4U);
}

TEST(idle_session, is_small) {
  // 10,000 of them are a target; the rest of a connection's memory is its buffers.
  EXPECT_LE(sizeof(server_session), 1536U);
}

} // namespace
} // namespace hedwig::smtp
