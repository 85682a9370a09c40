// SPDX-License-Identifier: Apache-2.0
// What the sender of a message set for it: a time to deliver it by (RFC 2852), a time before which it is held (RFC
// 4865).
#include "runtime/queue/record.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hedwig::queue {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

const wall_time noon{std::chrono::hours{1000}};

struct a_limited_record : testing::Test {
  a_limited_record() {
    policy.jitter = 0;
    taken.envelope.recipients.resize(1);
  }
  void queued() { state = make_record(taken, noon); }
  decision tried(wall_time now, outcome_kind kind = outcome_kind::deferred) {
    begin_attempt(state, due_recipients(state, now));
    outcome ended{0, kind, {451, "4.3.0", "not now"}, "mx"};
    return apply(state, std::span{&ended, 1}, now, policy, 0.5);
  }

  message taken;
  retry_policy policy;
  record state;
};

TEST_F(a_limited_record, is_tried_for_the_last_time_when_its_time_is_over_and_comes_back) {
  taken.envelope.deliver_by = deliver_by{noon + 100s, true, false};
  queued();
  EXPECT_EQ(tried(noon).due, noon + 60s);
  EXPECT_EQ(tried(noon + 60s).due, noon + 100s) << "not 120 s later";
  EXPECT_THAT(fail_overdue(state, noon + 99s), IsEmpty());
  auto over = fail_overdue(state, noon + 100s);
  ASSERT_EQ(over.size(), 1U);
  auto made = apply(state, over, noon + 100s, policy, 0.5);
  EXPECT_EQ(made.step, next_step::bounce);
  EXPECT_THAT(made.report, ElementsAre(0U));
  EXPECT_EQ(state.recipients[0].last_reply.status, "5.4.7");
}

TEST_F(a_limited_record, comes_back_by_an_attempt_that_ends_too_late) {
  taken.envelope.deliver_by = deliver_by{noon + 100s, true, false};
  queued();
  auto made = tried(noon + 101s);
  EXPECT_EQ(made.step, next_step::bounce);
  EXPECT_EQ(state.recipients[0].last_reply.status, "5.4.7");
}

TEST_F(a_limited_record, that_is_put_off_beyond_its_time_comes_back_in_time) {
  taken.envelope.deliver_by = deliver_by{noon + 100s, true, false};
  queued();
  begin_attempt(state, due_recipients(state, noon));
  outcome put_off{0, outcome_kind::returned, {0, "4.7.0", "rate limit"}, {}, noon + 1h};
  EXPECT_EQ(apply(state, std::span{&put_off, 1}, noon, policy, 0.5).due, noon + 100s);
}

TEST_F(a_limited_record, delivered_after_its_time_is_delivered) {
  taken.envelope.deliver_by = deliver_by{noon + 100s, true, false};
  queued();
  EXPECT_EQ(tried(noon + 200s, outcome_kind::delivered).step, next_step::remove);
}

TEST_F(a_limited_record, warns_when_the_time_is_over_and_goes_on) {
  taken.envelope.deliver_by = deliver_by{noon + 100s, false, false};
  queued();
  EXPECT_THAT(tried(noon).warn, IsEmpty());
  EXPECT_EQ(tried(noon + 60s).due, noon + 100s);
  auto late = tried(noon + 100s);
  EXPECT_EQ(late.step, next_step::defer);
  EXPECT_THAT(late.warn, ElementsAre(0U));
  EXPECT_THAT(late.report, IsEmpty());
  mark_warned(state, late.warn);
  EXPECT_THAT(tried(late.due).warn, IsEmpty()) << "once";
}

TEST_F(a_limited_record, that_was_late_already_warns_at_the_first_failure) {
  taken.envelope.deliver_by = deliver_by{noon - 1s, false, false};
  queued();
  auto made = tried(noon);
  EXPECT_THAT(made.warn, ElementsAre(0U));
  EXPECT_EQ(made.due, noon + 60s);
}

TEST_F(a_limited_record, is_held_until_its_sender_releases_it) {
  taken.envelope.held_until = noon + 24h * 30;
  queued();
  EXPECT_EQ(state.next_due, noon + 24h * 30);
  EXPECT_EQ(state.first_queued, noon);
  EXPECT_THAT(due_recipients(state, noon + 24h * 29), IsEmpty());
  EXPECT_THAT(due_recipients(state, noon + 24h * 30), ElementsAre(0U));
}

TEST_F(a_limited_record, does_not_grow_old_while_it_is_held) {
  policy.expire_after = 1h;
  policy.delay_warning = 10min;
  taken.envelope.held_until = noon + 24h;
  queued();
  auto first = tried(noon + 24h);
  EXPECT_EQ(first.step, next_step::defer);
  EXPECT_THAT(first.warn, IsEmpty());
  EXPECT_EQ(life_ends(state, policy), noon + 25h);
}

TEST_F(a_limited_record, without_limits_has_none) {
  queued();
  EXPECT_EQ(life_begins(state), noon);
  EXPECT_EQ(life_ends(state, policy), expiry(policy, noon));
  EXPECT_THAT(fail_overdue(state, noon + 24h * 365), IsEmpty());
}

} // namespace
} // namespace hedwig::queue
