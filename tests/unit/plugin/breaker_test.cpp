// SPDX-License-Identifier: Apache-2.0
#include "runtime/plugin/breaker.hpp"

#include <gtest/gtest.h>

#include <array>

#include "runtime/plugin/auth_provider.hpp"
#include "tests/unit/plugin/support.hpp"

namespace hedwig::plugin::testing {
namespace {

using std::chrono::seconds;

steady_time at(int second) { return steady_time{seconds{second}}; }

breaker::change call(breaker& of, breaker::end how, int second) {
  auto ticket = of.admit(at(second));
  return ticket ? of.report(*ticket, how, at(second)) : breaker::change::none;
}

TEST(breaker, opens_after_so_many_failures_in_a_row_only) {
  breaker b{3, seconds{10}};
  call(b, breaker::end::bad, 1);
  call(b, breaker::end::bad, 1);
  call(b, breaker::end::good, 1);
  call(b, breaker::end::bad, 1);
  call(b, breaker::end::neutral, 1);
  EXPECT_EQ(call(b, breaker::end::bad, 1), breaker::change::none);
  EXPECT_EQ(call(b, breaker::end::bad, 1), breaker::change::opened);
  EXPECT_TRUE(b.refuses(at(2)));
  EXPECT_FALSE(b.admit(at(2)));
  EXPECT_EQ(b.look(at(2)).left, seconds{9});
}

TEST(breaker, lets_one_call_try_after_the_delay) {
  breaker b{1, seconds{10}};
  call(b, breaker::end::bad, 0);
  EXPECT_FALSE(b.admit(at(9)));
  auto trying = b.admit(at(10));
  ASSERT_TRUE(trying);
  EXPECT_FALSE(b.admit(at(11)));
  EXPECT_EQ(b.look(at(11)).state, breaker_state::probing);
  EXPECT_EQ(b.report(*trying, breaker::end::bad, at(12)), breaker::change::opened);
  EXPECT_FALSE(b.admit(at(21)));
  trying = b.admit(at(22));
  ASSERT_TRUE(trying);
  EXPECT_EQ(b.report(*trying, breaker::end::good, at(23)), breaker::change::closed);
  EXPECT_TRUE(b.admit(at(23)));
  EXPECT_EQ(b.look(at(23)).opened, 2U);
}

TEST(breaker, takes_a_try_that_tells_nothing_for_a_failure) {
  breaker b{1, seconds{10}};
  call(b, breaker::end::bad, 0);
  EXPECT_EQ(call(b, breaker::end::neutral, 10), breaker::change::opened);
  EXPECT_FALSE(b.admit(at(11)));
}

TEST(breaker, does_not_hear_of_calls_from_before_it_opened) {
  breaker b{1, seconds{10}};
  auto old = b.admit(at(0));
  call(b, breaker::end::bad, 0);
  EXPECT_EQ(b.report(*old, breaker::end::good, at(1)), breaker::change::none);
  EXPECT_FALSE(b.admit(at(1)));
  auto trying = b.admit(at(10));
  EXPECT_EQ(b.report(*old, breaker::end::good, at(10)), breaker::change::none);
  EXPECT_EQ(b.report(*trying, breaker::end::good, at(10)), breaker::change::closed);
}

TEST(breaker, never_opens_with_zero_failures) {
  breaker b{0, seconds{10}};
  for (int i = 0; i < 100; ++i)
    call(b, breaker::end::bad, 0);
  EXPECT_TRUE(b.admit(at(0)));
}

void keep_question(void* self, hedwig_op* op, const hedwig_auth_request*) {
  static_cast<puppet*>(self)->ops.push_back(op);
}
const hedwig_auth guarded_table{sizeof guarded_table, 0, keep_question, nullptr, nullptr, nullptr};
const auto guarded_puppet = puppet_provider(HEDWIG_AUTH, &guarded_table);

struct guarded_bench : bench {
  explicit guarded_bench(instance_settings settings)
    : bench{guarded_puppet, std::move(settings)}, provider{*auth_provider::make(owner)} {}
  void ask(std::uint64_t tag) { provider->verify_password({}, {sink, tag, {}}); }
  std::shared_ptr<auth_provider> provider;
};

TEST(instances, that_keep_failing_are_not_asked_for_a_while) {
  guarded_bench b{{.call_timeout = seconds{1}, .breaker_failures = 3, .breaker_delay = seconds{60}}};
  b.ask(1);
  puppet::last->finish(puppet::last->ops.at(0), HEDWIG_E_UNAVAILABLE);
  b.ask(2);
  puppet::last->finish(puppet::last->ops.at(1), HEDWIG_OK, nullptr); // yes, without saying to whom
  b.ask(3);
  b.pass(seconds{2});
  ASSERT_EQ(b.sink->status(3), HEDWIG_E_TIMEOUT);
  b.ask(4);
  EXPECT_EQ(puppet::last->ops.size(), 3U);
  ASSERT_EQ(b.sink->status(4), HEDWIG_E_UNAVAILABLE);
  EXPECT_NE(b.sink->find(4)->error().message.find("verify_password"), std::string::npos);
  EXPECT_EQ(b.owner->counters().refused, 1U);
  EXPECT_EQ(b.owner->counters().malformed, 1U);
  EXPECT_TRUE(b.log->has("keeps failing"));
  b.pass(seconds{60});
  b.ask(5);
  ASSERT_EQ(puppet::last->ops.size(), 4U);
  puppet::last->finish(puppet::last->ops[3], HEDWIG_E_DENIED); // an answer
  EXPECT_EQ(b.owner->breaker_now().state, breaker_state::closed);
  EXPECT_TRUE(b.log->has("answered again"));
}

TEST(instances, are_asked_what_they_can_do_while_another_call_rests) {
  static const hedwig_auth two{sizeof two, 0, keep_question, nullptr, nullptr, keep_question};
  static const auto both = puppet_provider(HEDWIG_AUTH, &two);
  bench b{both, {.breaker_failures = 2, .breaker_delay = seconds{60}}};
  auto provider = *auth_provider::make(b.owner);
  for (std::uint64_t tag = 0; tag < 2; ++tag) {
    provider->verify_password({}, b.reply(tag));
    puppet::last->finish(puppet::last->ops.back(), HEDWIG_E_IO);
    provider->lookup({}, b.reply(tag + 10));
    puppet::last->finish(puppet::last->ops.back(), HEDWIG_E_NOT_FOUND);
  }
  EXPECT_EQ(b.owner->breaker_now().calls, std::vector<std::string>{"verify_password"});
  provider->verify_password({}, b.reply(20));
  provider->lookup({}, b.reply(21));
  EXPECT_EQ(b.sink->status(20), HEDWIG_E_UNAVAILABLE);
  EXPECT_EQ(b.sink->status(21), 1);
  puppet::last->finish(puppet::last->ops.back(), HEDWIG_E_NOT_FOUND);
}

TEST(instances, that_owe_as_many_answers_as_they_may_are_not_asked) {
  guarded_bench b{{.call_timeout = seconds{1}, .max_calls = 2}};
  b.ask(1);
  b.ask(2);
  b.pass(seconds{2}); // given up, and still owed
  b.ask(3);
  EXPECT_EQ(b.sink->status(3), HEDWIG_E_BUSY);
  EXPECT_EQ(puppet::last->ops.size(), 2U);
  EXPECT_EQ(b.owner->counters().in_flight, 2U);
  puppet::last->finish(puppet::last->ops[0], HEDWIG_E_DENIED);
  b.ask(4);
  EXPECT_EQ(puppet::last->ops.size(), 3U);
}

} // namespace
} // namespace hedwig::plugin::testing
