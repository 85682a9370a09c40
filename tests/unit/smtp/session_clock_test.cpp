// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "runtime/smtp/session_clock.hpp"

namespace hedwig::smtp {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

/// A session whose owner says yes to everything, and the clock that watches it.
class watched {
public:
  explicit watched(session_times times = {minutes{1}, minutes{5}, minutes{10}, hours{2}, 512}) {
    clock.begin(times, now);
    session.start();
    agree();
    clock.greeted(now);
    look();
  }
  /// Some octets, a while after those before.
  void send(std::string_view bytes, std::chrono::nanoseconds after = {}) {
    now += after;
    while (!bytes.empty()) {
      auto used = session.feed(bytes);
      bytes.remove_prefix(used);
      agree();
    }
    look();
  }
  void agree() {
    while (auto* question = session.pending()) {
      if (std::holds_alternative<ask::end>(*question))
        return;
      if (std::holds_alternative<ask::take_message>(*question))
        session.message_taken("id");
      else
        session.accept();
    }
  }
  void look() { waits = clock.look(session, now); }
  [[nodiscard]] std::chrono::nanoseconds left() const { return clock.deadline(session, now) - now; }
  [[nodiscard]] overdue after(std::chrono::nanoseconds more) const { return clock.judge(session, now + more); }
  void begin_data() { send("EHLO c\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n"); }

  steady_time now{hours{1000}};
  server_session session{std::make_shared<server_settings>(), connection_facts{}};
  session_clock clock;
  bool waits = false;
};

TEST(session_clock, gives_a_client_that_was_greeted_less_time_than_one_that_said_hello) {
  watched it;
  EXPECT_TRUE(it.waits);
  EXPECT_EQ(it.left(), minutes{1});
  EXPECT_EQ(it.after(seconds{59}), overdue::nothing);
  EXPECT_EQ(it.after(seconds{60}), overdue::greeting);
  it.send("NOOP\r\n", seconds{50});
  EXPECT_EQ(it.left(), seconds{10}) << "other commands do not help";
  it.send("EHLO c\r\n");
  EXPECT_EQ(it.left(), minutes{5});
  EXPECT_EQ(it.after(minutes{5}), overdue::command);
}

TEST(session_clock, gives_a_command_its_time_from_its_beginning_and_not_from_its_last_octet) {
  watched it;
  it.send("EHLO c\r\n");
  for (char c : std::string_view{"NOOP"})
    it.send({&c, 1}, minutes{1});
  EXPECT_EQ(it.left(), minutes{1});
  it.send("\r\n");
  EXPECT_EQ(it.left(), minutes{5});
  it.send("NONSENSE\r\n", minutes{1});
  EXPECT_EQ(it.left(), minutes{5});
}

TEST(session_clock, wants_a_rate_of_a_message_after_a_minute) {
  watched it;
  it.begin_data();
  EXPECT_EQ(it.left(), minutes{1});
  EXPECT_EQ(it.after(minutes{1}), overdue::data_rate);
  it.send(std::string(510, 'x') + "\r\n", seconds{30});
  EXPECT_EQ(it.left(), seconds{31});
  for (int i = 0; i < 120; ++i)
    it.send(std::string(1022, 'x') + "\r\n", seconds{1}); // twice as fast as it must be
  EXPECT_EQ(it.left(), seconds{31 + 120});
  EXPECT_EQ(it.after(minutes{8}), overdue::data) << "150 s were over";
  it.send(".\r\n");
  EXPECT_EQ(it.left(), minutes{5});
}

TEST(session_clock, counts_what_is_read_over_of_a_refused_message_too) {
  watched it;
  it.begin_data();
  it.send("bare\nline end\r\n");
  for (int i = 0; i < 90; ++i)
    it.send(std::string(1022, 'x') + "\r\n", seconds{1});
  EXPECT_GE(it.left(), seconds{60 + 2 * 90 - 90});
}

TEST(session_clock, gives_a_chunk_its_time_and_the_command_between_two_its_own) {
  watched it{{minutes{1}, minutes{5}, minutes{10}, hours{2}, 0}};
  it.send("EHLO c\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nBDAT 10\r\n");
  EXPECT_EQ(it.left(), minutes{10});
  it.send("12345", minutes{9});
  EXPECT_EQ(it.left(), minutes{1});
  EXPECT_EQ(it.after(minutes{1}), overdue::data);
  it.send("678\r\n");
  EXPECT_EQ(it.left(), minutes{5});
  it.send("BDAT 10\r\n12345", minutes{4});
  EXPECT_EQ(it.left(), minutes{10});
}

TEST(session_clock, begins_anew_after_a_rest) {
  watched it;
  it.begin_data();
  it.now += seconds{59};
  it.clock.rest(); // the relay did not read
  it.look();
  EXPECT_EQ(it.left(), minutes{1});
}

TEST(session_clock, ends_an_old_session_between_transactions_and_a_very_old_one_anywhere) {
  watched it;
  it.begin_data();
  it.send(".\r\n");
  for (int i = 0; i < 40; ++i)
    it.send("NOOP\r\n", minutes{3} - seconds{1});
  EXPECT_LT(it.left(), minutes{1});
  EXPECT_EQ(it.after(minutes{1}), overdue::session);
  it.send("MAIL FROM:<a@b.test>\r\n");
  EXPECT_EQ(it.after(minutes{1}), overdue::nothing);
  it.send("NOOP\r\n", minutes{1});
  EXPECT_EQ(it.left(), minutes{5});
  for (int i = 0; i < 30; ++i)
    it.send("NOOP\r\n", minutes{4});
  EXPECT_EQ(it.after({}), overdue::session);
}

TEST(session_clock, waits_for_nothing_while_the_client_waits_for_us) {
  watched it;
  it.send("EHLO c\r\n");
  static_cast<void>(it.session.feed("MAIL FROM:<a@b.test>\r\n")); // and nobody answers
  it.look();
  EXPECT_FALSE(it.waits);
  EXPECT_EQ(it.after(hours{1}), overdue::nothing);
}

TEST(session_clock, does_not_overflow) {
  watched it{{minutes{1}, minutes{5}, hours{24}, hours{720}, 1}};
  it.begin_data();
  for (int i = 0; i < 1000; ++i)
    it.send(std::string(9998, 'x') + "\r\n");
  EXPECT_EQ(it.left(), hours{24});
}

} // namespace
} // namespace hedwig::smtp
