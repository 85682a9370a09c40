// SPDX-License-Identifier: Apache-2.0
// Large messages through the real relay while its actors fail: nothing is cut, nothing is left behind, nothing stays
// counted.
#include "tests/component/actors/running_relay.hpp"
#include "tests/component/actors/smtp_peers.hpp"

#include <gtest/gtest.h>

#include <string>

namespace hedwig::test {

namespace {

constexpr std::size_t large = 3 * 1024 * 1024;

std::string text_of_size(std::size_t size, const std::string& subject, std::string_view from = "ann@sender.example") {
  std::string text = "From: " + std::string{from} + "\r\nSubject: " + subject + "\r\n\r\n";
  for (std::size_t line = 0; text.size() < size; ++line)
    text += "line " + std::to_string(line) + " of a message that does not fit into one part\r\n";
  return text;
}

class large_bodies : public testing::Test {
protected:
  /// Up to and with DATA.
  static void begin(mail_client& by, const std::string& from = "ann@sender.example",
                    const std::string& to = "bob@there.example") {
    EXPECT_TRUE(by.command("EHLO client.example").starts_with("250"));
    EXPECT_TRUE(by.command("MAIL FROM:<" + from + ">").starts_with("250"));
    EXPECT_TRUE(by.command("RCPT TO:<" + to + ">").starts_with("250"));
    EXPECT_TRUE(by.command("DATA").starts_with("354"));
  }
  std::string submit(const std::string& subject, const std::string& from = "ann@sender.example",
                     const std::string& to = "bob@there.example") {
    mail_client by{relay_.port()};
    begin(by, from, to);
    auto text = text_of_size(large, subject, from);
    EXPECT_TRUE(by.write(text + ".\r\n"));
    EXPECT_TRUE(by.reply().starts_with("250"));
    return text;
  }
  [[nodiscard]] bool nothing_is_left() {
    return wait_until([&] {
      return relay_.idle() && relay_.context().counts.staged.value() == 0 &&
             relay_.context().memory.ledger().total == 0;
    });
  }
  /// What the next hop got of a message ends as it was sent.
  void expect_whole(const std::string& subject, const std::string& text) {
    ASSERT_TRUE(wait_until([&] { return sink_.taken(subject) > 0; }));
    auto body = text.substr(text.find("\r\n\r\n"));
    EXPECT_TRUE(sink_.text_of(subject).ends_with(body)) << "octets were lost or changed";
  }

  mail_sink sink_;
  running_relay relay_{sink_.port(), ""};
};

TEST_F(large_bodies, are_dropped_with_the_session_that_was_receiving_them) {
  mail_client by{relay_.port()};
  begin(by);
  ASSERT_TRUE(by.write(text_of_size(large, "never-finished")));
  ASSERT_TRUE(wait_until([&] { return relay_.context().counts.staged.value() == 1; }));
  ASSERT_EQ(relay_.kill("session"), 1u);
  EXPECT_TRUE(nothing_is_left());
  expect_whole("after-it", submit("after-it"));
  EXPECT_TRUE(nothing_is_left());
  EXPECT_EQ(sink_.taken("never-finished"), 0u);
  EXPECT_TRUE(relay_.stop());
}

TEST_F(large_bodies, survive_the_failure_of_their_delivery) {
  sink_.hold();
  auto text = submit("cut");
  ASSERT_TRUE(wait_until([&] { return sink_.held() == 1; }));
  ASSERT_EQ(relay_.kill("delivery"), 1u);
  sink_.release();
  EXPECT_TRUE(nothing_is_left());
  expect_whole("cut", text);
  EXPECT_TRUE(relay_.stop());
}

TEST_F(large_bodies, survive_the_failure_of_who_signs_them) {
  ASSERT_TRUE(relay_.wear_out("signer", 3));
  ASSERT_GT(relay_.kill("signer"), 0u); // for a while there is none
  auto text = submit("signed-at-last", "ann@signed.example");
  expect_whole("signed-at-last", text);
  EXPECT_NE(sink_.text_of("signed-at-last").find("DKIM-Signature:"), std::string::npos);
  EXPECT_TRUE(nothing_is_left());
  EXPECT_TRUE(relay_.stop());
}

TEST_F(large_bodies, survive_the_failure_of_the_dispatcher) {
  sink_.hold();
  auto text = submit("given-out-again");
  ASSERT_TRUE(wait_until([&] { return sink_.held() == 1; }));
  ASSERT_EQ(relay_.kill("dispatcher"), 1u);
  sink_.release();
  EXPECT_TRUE(nothing_is_left());
  expect_whole("given-out-again", text);
  EXPECT_TRUE(relay_.stop());
}

TEST_F(large_bodies, that_bounce_send_their_header_back) {
  submit("nobody-wants-it", "ann@sender.example", "bob@gone.example");
  EXPECT_TRUE(wait_until([&] { return sink_.notifications_about("nobody-wants-it") == 1; }));
  EXPECT_TRUE(nothing_is_left());
  EXPECT_TRUE(relay_.stop());
}

} // namespace

} // namespace hedwig::test
