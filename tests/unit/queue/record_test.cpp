// SPDX-License-Identifier: Apache-2.0
#include "runtime/queue/record.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace hedwig::queue {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

const wall_time start{std::chrono::hours{1000}};

struct a_record : testing::Test {
  a_record() { policy.jitter = 0; }

  void queue_for(std::size_t recipients) {
    message taken;
    taken.envelope.recipients.resize(recipients);
    state = make_record(taken, start);
  }
  void send_all(wall_time now) {
    auto due = due_recipients(state, now);
    begin_attempt(state, due);
  }
  decision end(std::vector<outcome> outcomes, wall_time now) { return apply(state, outcomes, now, policy, 0.5); }

  static outcome ok(std::uint32_t i) { return {i, outcome_kind::delivered, {250, "2.0.0", "ok"}, "mx"}; }
  static outcome later(std::uint32_t i) { return {i, outcome_kind::deferred, {451, "4.3.0", "not now"}, "mx"}; }
  static outcome never(std::uint32_t i) { return {i, outcome_kind::failed, {550, "5.1.1", "who?"}, "mx"}; }
  static outcome lost(std::uint32_t i) { return {i, outcome_kind::unknown, {0, "4.4.2", "lost"}, "mx"}; }

  retry_policy policy;
  record state;
};

TEST_F(a_record, is_removed_when_everybody_has_it) {
  queue_for(2);
  send_all(start);
  EXPECT_EQ(end({ok(0)}, start + 1s).step, next_step::wait);
  auto last = end({ok(1)}, start + 2s);
  EXPECT_EQ(last.step, next_step::remove);
  EXPECT_THAT(last.delivered, ElementsAre(1u));
  EXPECT_THAT(last.report, IsEmpty());
}

TEST_F(a_record, with_one_delivered_one_failed_one_deferred_reports_once_and_retries_one) {
  queue_for(3);
  send_all(start);
  auto first = end({ok(0), never(1)}, start + 1s);
  EXPECT_EQ(first.step, next_step::wait);
  EXPECT_THAT(first.failed, ElementsAre(1u));
  EXPECT_THAT(first.report, IsEmpty()) << "one DSN a round, when nothing is in flight";
  auto second = end({later(2)}, start + 2s);
  EXPECT_EQ(second.step, next_step::defer);
  EXPECT_EQ(second.due, start + 62s);
  EXPECT_EQ(state.next_due, start + 62s);
  EXPECT_THAT(second.report, ElementsAre(1u));
  mark_reported(state, second.report);
  EXPECT_THAT(due_recipients(state, start + 30s), IsEmpty());
  EXPECT_THAT(due_recipients(state, start + 62s), ElementsAre(2u));
  send_all(start + 62s);
  auto third = end({ok(2)}, start + 63s);
  EXPECT_EQ(third.step, next_step::bounce) << "somebody failed";
  EXPECT_THAT(third.report, IsEmpty()) << "reported before";
}

TEST_F(a_record, tells_of_a_success_that_was_asked_for_when_nothing_is_in_flight) {
  queue_for(2);
  send_all(start);
  auto told = ok(0);
  told.tell_success = true;
  EXPECT_THAT(end({told}, start + 1s).succeed, IsEmpty());
  auto last = end({ok(1)}, start + 2s);
  EXPECT_EQ(last.step, next_step::remove);
  EXPECT_THAT(last.succeed, ElementsAre(0u));
  EXPECT_THAT(assess(state, start + 3s, policy).succeed, ElementsAre(0u)) << "also after a restart";
  mark_reported(state, last.succeed);
  EXPECT_THAT(assess(state, start + 3s, policy).succeed, IsEmpty());
}

TEST_F(a_record, gives_up_after_max_retries_with_the_last_reason) {
  queue_for(1);
  auto now = start;
  for (int i = 0; i < 4; ++i) {
    send_all(now);
    auto made = end({later(0)}, now);
    ASSERT_EQ(made.step, next_step::defer);
    now = made.due;
  }
  send_all(now);
  auto made = end({later(0)}, now);
  EXPECT_EQ(made.step, next_step::bounce);
  EXPECT_THAT(made.report, ElementsAre(0u));
  EXPECT_EQ(state.recipients[0].status, recipient_status::expired);
  EXPECT_EQ(state.recipients[0].last_reply.text, "not now");
  EXPECT_EQ(state.recipients[0].attempts, 5u);
  EXPECT_EQ(now, start + 60s + 120s + 240s + 480s);
}

TEST_F(a_record, gives_up_at_its_expiry_when_that_comes_first_with_a_last_attempt_then) {
  policy.expire_after = 100s;
  queue_for(1);
  send_all(start);
  EXPECT_EQ(end({later(0)}, start).due, start + 60s);
  send_all(start + 60s);
  EXPECT_EQ(end({later(0)}, start + 60s).due, start + 100s);
  send_all(start + 100s);
  auto made = end({later(0)}, start + 101s);
  EXPECT_EQ(made.step, next_step::bounce);
  EXPECT_EQ(state.recipients[0].status, recipient_status::expired);
}

TEST_F(a_record, is_not_expired_by_a_clock_that_jumps) {
  policy.expire_after = 5h;
  queue_for(1);
  auto jumped = start + 87600h;
  send_all(jumped);
  auto made = end({later(0)}, jumped);
  EXPECT_EQ(made.step, next_step::defer);
  EXPECT_EQ(made.due, jumped + 60s);
  send_all(jumped + 60s);
  EXPECT_EQ(end({later(0)}, jumped + 60s).step, next_step::bounce);
}

TEST_F(a_record, tries_an_unknown_outcome_again_and_counts_it) {
  queue_for(1);
  send_all(start);
  auto made = end({lost(0)}, start);
  EXPECT_EQ(made.step, next_step::defer);
  EXPECT_THAT(made.deferred, ElementsAre(0u));
  EXPECT_EQ(state.recipients[0].unknown, 1u);
  EXPECT_EQ(state.recipients[0].attempts, 1u);
}

TEST_F(a_record, never_sends_again_to_whom_it_delivered) {
  queue_for(1);
  send_all(start);
  (void)end({ok(0)}, start);
  auto before = state;
  auto made = end({later(0), never(0), lost(0)}, start + 1s);
  EXPECT_EQ(made.step, next_step::remove);
  before.next_due = state.next_due;
  EXPECT_EQ(state, before);
  make_due(state, start);
  EXPECT_THAT(due_recipients(state, start + 1000h), IsEmpty());
  std::uint32_t all[] = {0};
  begin_attempt(state, all);
  EXPECT_FALSE(state.recipients[0].in_flight);
}

TEST_F(a_record, does_not_count_an_attempt_that_was_given_back) {
  queue_for(1);
  send_all(start);
  auto made = end({{0, outcome_kind::returned, {}, {}}}, start + 5s);
  EXPECT_EQ(made.step, next_step::defer);
  EXPECT_EQ(made.due, start + 5s);
  EXPECT_EQ(state.recipients[0].attempts, 0u);
  EXPECT_EQ(state.attempts, 0u) << "nobody was tried in that round";
}

TEST_F(a_record, counts_a_round_once_in_which_somebody_was_tried) {
  queue_for(3);
  send_all(start);
  (void)end({{0, outcome_kind::returned, {}, {}}, later(1)}, start);
  (void)end({later(2)}, start + 1s);
  EXPECT_EQ(state.attempts, 1u);
}

TEST_F(a_record, tells_why_it_was_given_back_and_waits_as_long_as_it_was_told) {
  queue_for(1);
  send_all(start);
  auto made = end({{0, outcome_kind::returned, {0, "", "rate limit"}, {}, start + 90s}}, start + 5s);
  EXPECT_EQ(made.due, start + 90s);
  EXPECT_EQ(state.last_error, "rate limit");
  EXPECT_EQ(state.attempts, 0u);
}

TEST_F(a_record, that_is_held_back_expires_all_the_same) {
  policy.expire_after = 100s;
  queue_for(1);
  send_all(start);
  EXPECT_EQ(end({{0, outcome_kind::returned, {0, "", "rate limit"}, {}, start + 500s}}, start).due, start + 100s);
  send_all(start + 100s);
  auto made = end({{0, outcome_kind::returned, {0, "", "rate limit"}, {}, start + 500s}}, start + 100s);
  EXPECT_EQ(made.step, next_step::bounce);
  EXPECT_THAT(made.failed, ElementsAre(0u));
  EXPECT_EQ(state.recipients[0].last_reply.text, "rate limit");
}

TEST_F(a_record, that_is_given_back_without_a_reason_does_not_expire_by_it) {
  policy.expire_after = 100s;
  queue_for(1);
  send_all(start + 100s);
  EXPECT_EQ(end({{0, outcome_kind::returned, {}, {}}}, start + 101s).step, next_step::defer);
}

TEST_F(a_record, warns_of_the_delay_once) {
  policy.delay_warning = 100s;
  queue_for(2);
  send_all(start);
  EXPECT_THAT(end({later(0), ok(1)}, start).warn, IsEmpty());
  send_all(start + 60s);
  EXPECT_THAT(end({later(0)}, start + 61s).warn, IsEmpty());
  send_all(start + 181s);
  auto made = end({later(0)}, start + 181s);
  EXPECT_THAT(made.warn, ElementsAre(0u));
  mark_warned(state, made.warn);
  send_all(made.due);
  EXPECT_THAT(end({later(0)}, made.due).warn, IsEmpty());
}

TEST_F(a_record, that_is_held_waits_for_a_person_once_nothing_is_in_flight) {
  queue_for(2);
  send_all(start);
  state.held = true;
  EXPECT_EQ(end({later(0)}, start).step, next_step::wait);
  EXPECT_EQ(end({later(1)}, start).step, next_step::hold);
  state.held = false;
  EXPECT_EQ(assess(state, start, policy).step, next_step::defer);
}

TEST_F(a_record, can_be_failed_by_a_person) {
  queue_for(2);
  send_all(start);
  (void)end({ok(0), later(1)}, start);
  auto made = end(fail_pending(state, {0, "5.0.0", "bounced by an operator"}), start + 1s);
  EXPECT_EQ(made.step, next_step::bounce);
  EXPECT_THAT(made.report, ElementsAre(1u));
}

TEST_F(a_record, keeps_texts_of_peers_within_bounds_and_whole_characters) {
  queue_for(1);
  send_all(start);
  std::string text(reply_text_size_max - 1, 'x');
  text += "\xc3\xa4";
  (void)end({{0, outcome_kind::deferred, {451, std::string(99, '4'), text}, std::string(9999, 'h')}}, start);
  EXPECT_EQ(state.recipients[0].last_reply.text, std::string(reply_text_size_max - 1, 'x'));
  EXPECT_LE(state.recipients[0].last_reply.status.size(), 16u);
  EXPECT_EQ(state.recipients[0].remote.size(), remote_size_max);
  EXPECT_LE(state.last_error.size(), reply_text_size_max);
}

TEST_F(a_record, ignores_outcomes_for_recipients_it_does_not_have) {
  queue_for(1);
  EXPECT_EQ(end({ok(1), ok(~0u)}, start).step, next_step::defer);
}

// Whatever comes in whatever order: accepted stays accepted, and each recipient ends within max_retries.
TEST_F(a_record, keeps_its_promises_over_random_histories) {
  std::mt19937 random{7};
  for (int history = 0; history < 500; ++history) {
    queue_for(1 + random() % 5);
    auto now = start;
    std::vector<bool> accepted(state.recipients.size());
    auto step = next_step::defer;
    int rounds = 0;
    for (; step == next_step::defer; ++rounds) {
      ASSERT_LT(rounds, 100);
      auto due = due_recipients(state, now);
      begin_attempt(state, due);
      for (auto i : due) {
        ASSERT_FALSE(accepted[i]);
        auto kind = static_cast<outcome_kind>(random() % 4);
        accepted[i] = kind == outcome_kind::delivered;
        auto made = end({{i, kind, {450, "", "x"}, "mx"}}, now);
        step = made.step;
        now = std::max(now, step == next_step::defer ? made.due : now);
      }
    }
    for (std::size_t i = 0; i < accepted.size(); ++i) {
      EXPECT_EQ(state.recipients[i].status == recipient_status::delivered, accepted[i]);
      EXPECT_NE(state.recipients[i].status, recipient_status::pending);
      EXPECT_LE(state.recipients[i].attempts, policy.max_retries);
    }
  }
}

} // namespace
} // namespace hedwig::queue
