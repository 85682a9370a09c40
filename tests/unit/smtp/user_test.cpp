// SPDX-License-Identifier: Apache-2.0
// What one user may do: whose name he may send in, and how much.
#include <gtest/gtest.h>

#include "runtime/smtp/user_limits.hpp"
#include "runtime/smtp/user_senders.hpp"

namespace hedwig::smtp {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using verdict = user_limits::verdict;

bool may(std::vector<std::string> patterns, const char* sender) {
  return may_use_sender(patterns, *mail::address::parse(sender));
}

TEST(user_senders, are_addresses_domains_and_what_is_below_them) {
  EXPECT_TRUE(may({}, "a@b.test"));
  EXPECT_TRUE(may({"x@y.test", "A@b.test"}, "a@B.test"));
  EXPECT_TRUE(may({"\"a\"@b.test"}, "a@b.test"));
  EXPECT_TRUE(may({"@b.test"}, "anyone@b.TEST"));
  EXPECT_TRUE(may({"@*.b.test"}, "a@c.b.test"));
  EXPECT_TRUE(may({"*.b.test"}, "a@c.b.test"));
  EXPECT_TRUE(may({"*"}, "a@b.test"));
  EXPECT_TRUE(may({"@b\xc3\xbc"
                   "cher.test"},
                  "a@xn--bcher-kva.test"));
  for (auto* pattern : {"", "@", "*.", "@*.", "x@b.test", "@*.b.test", "@xb.test", "b", "@.b.test", "@c.b.test", "a@*"})
    EXPECT_FALSE(may({pattern}, "a@b.test")) << pattern;
  EXPECT_FALSE(may({"@*.b.test"}, "a@xb.test"));
  EXPECT_FALSE(may({"@b.test"}, "a@b.test.evil"));
  EXPECT_FALSE(may({"a@b.test"}, "\"a@b.test\"@evil.test"));
}

TEST(user_senders, never_forbid_the_null_sender) {
  EXPECT_TRUE(may_use_sender(std::vector<std::string>{""}, mail::address{}));
}

TEST(user_limits, count_sessions) {
  user_limits all;
  EXPECT_TRUE(all.enter("a", {.connections = 2}));
  EXPECT_TRUE(all.enter("a", {.connections = 2}));
  EXPECT_FALSE(all.enter("a", {.connections = 2}));
  EXPECT_TRUE(all.enter("b", {.connections = 2}));
  all.leave("a");
  EXPECT_TRUE(all.enter("a", {.connections = 2}));
  all.leave("nobody");
}

TEST(user_limits, are_counted_when_taken_and_not_when_looked_at) {
  user_limits all;
  steady_time now{hours{100}};
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(all.look("a", {.messages_per_hour = 2}, 1, now), verdict::within);
  EXPECT_EQ(all.take("a", {.messages_per_hour = 2}, 1, now), verdict::within);
  EXPECT_EQ(all.take("a", {.messages_per_hour = 2}, 1, now), verdict::within);
  EXPECT_EQ(all.take("a", {.messages_per_hour = 2}, 1, now), verdict::messages);
  EXPECT_EQ(all.look("a", {.messages_per_hour = 2}, 1, now), verdict::messages);
  EXPECT_EQ(all.take("a", {}, 1, now), verdict::within);
  EXPECT_EQ(all.take("b", {.recipients_per_day = 10}, 11, now), verdict::recipients);
  EXPECT_EQ(all.take("b", {.recipients_per_day = 10}, 10, now), verdict::within);
  EXPECT_EQ(all.take("b", {.recipients_per_day = 10}, 1, now), verdict::recipients);
}

TEST(user_limits, come_back_as_time_passes) {
  user_limits all;
  steady_time now{hours{100} + minutes{59}};
  for (int i = 0; i < 60; ++i)
    EXPECT_EQ(all.take("a", {.messages_per_hour = 60}, 1, now), verdict::within);
  now += minutes{1}; // the next hour: all of the last one counts
  EXPECT_EQ(all.take("a", {.messages_per_hour = 60}, 1, now), verdict::messages);
  now += minutes{30}; // half of it
  for (int i = 0; i < 30; ++i)
    EXPECT_EQ(all.take("a", {.messages_per_hour = 60}, 1, now), verdict::within) << i;
  EXPECT_EQ(all.take("a", {.messages_per_hour = 60}, 1, now), verdict::messages);
  now += hours{3};
  EXPECT_EQ(all.take("a", {.messages_per_hour = 60}, 1, now), verdict::within);
}

TEST(user_limits, forget_who_is_idle_longest_and_nobody_with_a_session) {
  user_limits all{3};
  steady_time now{hours{100}};
  EXPECT_TRUE(all.enter("here", {.connections = 1}));
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(all.take("user" + std::to_string(i), {.messages_per_hour = 1}, 1, now), verdict::within);
  EXPECT_EQ(all.size(), 3u);
  EXPECT_FALSE(all.enter("here", {.connections = 1}));
  EXPECT_EQ(all.look("user99", {.messages_per_hour = 1}, 1, now), verdict::messages);
  EXPECT_EQ(all.look("user0", {.messages_per_hour = 1}, 1, now), verdict::within);
}

} // namespace
} // namespace hedwig::smtp
