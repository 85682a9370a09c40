// SPDX-License-Identifier: Apache-2.0
// Mail that is kept back says why and until when, and what was never tried does not count as tried.
#include "tests/component/actors/running_relay.hpp"
#include "tests/component/actors/smtp_peers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace hedwig::test {

namespace {

using testing::HasSubstr;

std::uint16_t deserted_port() {
  std::uint16_t port = 0;
  ::close(listen_anywhere(port));
  return port;
}

std::string submit(running_relay& to, std::string_view subject) {
  auto id = mail_client{to.port()}.submit(subject);
  EXPECT_FALSE(id.empty());
  return id;
}

/// What the console shows of a message once that holds `what`; the last it showed where it never did.
std::string shown(running_relay& by, const std::string& id, std::string_view what) {
  std::string text;
  static_cast<void>(wait_until([&] {
    text = by.show(id);
    return text.find(what) != std::string::npos;
  }));
  return text;
}

TEST(mail_held_back, by_a_destination_that_rests_says_so_and_counts_no_attempt) {
  running_relay relay{deserted_port(), "[outbound]\nbreaker_failures = 1\nbreaker_delay = \"1h\"\n"};
  // The first is tried once, and falls due again after a second; the second is never tried.
  auto tried = submit(relay, "tried");
  auto text = shown(relay, tried, "rests until");
  EXPECT_THAT(text, HasSubstr("rests until"));
  EXPECT_THAT(text, HasSubstr("\"attempts\":1"));
  auto behind = submit(relay, "behind");
  text = shown(relay, behind, "rests until");
  EXPECT_THAT(text, HasSubstr("rests until"));
  EXPECT_THAT(text, HasSubstr("\"attempts\":0"));
  EXPECT_THAT(text, testing::Not(HasSubstr("\"attempts\":1")));
}

TEST(mail_held_back, by_a_rate_limit_says_so_and_counts_no_attempt) {
  mail_sink sink;
  running_relay relay{sink.port(), "[server.rate_limits]\nenabled = true\ndefault_limit = 1\n"};
  submit(relay, "first");
  ASSERT_TRUE(wait_until([&] { return sink.taken("first") == 1; }));
  auto second = submit(relay, "second");
  auto text = shown(relay, second, "rate limit");
  EXPECT_THAT(text, HasSubstr("rate limit of there.example: next at 20"));
  EXPECT_THAT(text, HasSubstr("\"attempts\":0"));
  EXPECT_EQ(sink.taken("second"), 0u);
}

TEST(mail_held_back, by_a_rate_limit_goes_when_its_time_has_come) {
  mail_sink sink;
  running_relay relay{sink.port(), "[server.rate_limits]\nenabled = true\ndefault_limit = 60\n"};
  mail_client client{relay.port()};
  for (int i = 0; i < 62; ++i) // a burst of 60, then one a second
    ASSERT_FALSE(client.submit("message-" + std::to_string(i)).empty());
  EXPECT_TRUE(wait_until([&] { return relay.idle(); }));
  for (int i = 0; i < 62; ++i)
    EXPECT_EQ(sink.taken("message-" + std::to_string(i)), 1u) << i;
}

} // namespace

} // namespace hedwig::test
