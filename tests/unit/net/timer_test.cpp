// SPDX-License-Identifier: Apache-2.0
#include "runtime/net/timer_wheel.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

namespace hedwig::net {
namespace {

using namespace std::chrono_literals;

class timer_test : public ::testing::Test {
protected:
  void advance(std::chrono::nanoseconds by) {
    now_ += by;
    wheel_.advance(now_);
  }
  std::unique_ptr<timer> make(std::string name) {
    return std::make_unique<timer>(wheel_, [this, name] { fired_ += name; });
  }
  steady_time now_{1000h};
  timer_wheel wheel_{now_, 20ms};
  std::string fired_;
};

TEST_F(timer_test, fires_once_and_never_early) {
  auto a = make("a");
  a->start(1s);
  EXPECT_TRUE(a->armed());
  advance(999ms);
  EXPECT_EQ(fired_, "");
  advance(21ms);
  EXPECT_EQ(fired_, "a");
  EXPECT_FALSE(a->armed());
  advance(10s);
  EXPECT_EQ(fired_, "a");
}

TEST_F(timer_test, fires_in_the_order_of_deadlines) {
  auto a = make("a"), b = make("b"), c = make("c");
  a->start(300ms);
  b->start(100ms);
  c->start(200ms);
  for (int i = 0; i < 40; ++i)
    advance(10ms);
  EXPECT_EQ(fired_, "bca");
}

TEST_F(timer_test, a_late_turn_still_fires_in_order_within_one_turn_of_the_wheel) {
  auto a = make("a"), b = make("b"), c = make("c");
  a->start(3s);
  b->start(1s);
  c->start(2s);
  advance(10s);
  EXPECT_EQ(fired_, "bca");
}

TEST_F(timer_test, cancelled_does_not_fire) {
  auto a = make("a"), b = make("b");
  a->start(100ms);
  b->start(100ms);
  a->cancel();
  a->cancel();
  EXPECT_FALSE(a->armed());
  advance(1s);
  EXPECT_EQ(fired_, "b");
}

TEST_F(timer_test, starting_again_moves_it_later_and_earlier) {
  auto a = make("a");
  a->start(100ms);
  a->start(500ms);
  advance(400ms);
  EXPECT_EQ(fired_, "");
  a->start(300s);
  a->start(60ms);
  advance(80ms);
  EXPECT_EQ(fired_, "a");
}

TEST_F(timer_test, moving_it_later_and_back_does_not_lose_it) {
  auto a = make("a");
  a->start(100ms);
  a->start(10s);
  a->start(5s);
  advance(4900ms);
  EXPECT_EQ(fired_, "");
  advance(200ms);
  EXPECT_EQ(fired_, "a");
}

TEST_F(timer_test, delays_longer_than_a_turn_of_the_wheel_are_kept) {
  auto a = make("a");
  a->start(2h);
  for (int i = 0; i < 119; ++i)
    advance(1min);
  EXPECT_EQ(fired_, "");
  advance(61s);
  EXPECT_EQ(fired_, "a");
}

TEST_F(timer_test, no_delay_fires_in_the_next_turn_even_when_time_stands_still) {
  auto a = make("a");
  a->start(0s);
  EXPECT_EQ(wheel_.next_wait(now_), 0ns);
  advance(0s);
  EXPECT_EQ(fired_, "a");
  a->start(-5s);
  advance(0s);
  EXPECT_EQ(fired_, "aa");
}

TEST_F(timer_test, rearmed_in_its_own_handler_it_fires_again_in_a_later_turn) {
  int count = 0;
  timer again{wheel_, [&] {
                ++count;
                again.start(0s);
              }};
  again.start(10ms);
  advance(1s);
  EXPECT_EQ(count, 1);
  advance(0s);
  EXPECT_EQ(count, 2);
}

TEST_F(timer_test, a_handler_may_cancel_and_move_others_due_in_the_same_turn) {
  auto b = make("b"), c = make("c");
  timer a{wheel_, [&] {
            fired_ += "a";
            b->cancel();
            c->start(1s);
          }};
  a.start(100ms);
  b->start(100ms);
  c->start(100ms);
  advance(200ms);
  EXPECT_EQ(fired_, "a");
  advance(1100ms);
  EXPECT_EQ(fired_, "ac");
}

TEST_F(timer_test, a_handler_may_destroy_itself_and_others) {
  auto victim = make("v");
  auto shared = std::make_shared<int>(7); // freed with the handler: a use after that is seen by the sanitizer
  std::unique_ptr<timer> self;
  self = std::make_unique<timer>(wheel_, [&, shared] {
    victim.reset();
    self.reset();
    fired_ += std::to_string(*shared);
  });
  self->start(100ms);
  victim->start(100ms);
  advance(200ms);
  EXPECT_EQ(fired_, "7");
  EXPECT_EQ(shared.use_count(), 1);
}

TEST_F(timer_test, knows_how_long_to_sleep) {
  EXPECT_FALSE(wheel_.next_wait(now_));
  auto a = make("a"), b = make("b");
  a->start(5s);
  b->start(105ms);
  auto wait = wheel_.next_wait(now_);
  ASSERT_TRUE(wait);
  EXPECT_GE(*wait, 105ms);
  EXPECT_LE(*wait, 125ms);
  b->cancel();
  EXPECT_GE(*wheel_.next_wait(now_), 5s);
  a->cancel();
  EXPECT_FALSE(wheel_.next_wait(now_));
}

TEST_F(timer_test, a_timer_may_outlive_the_wheel) {
  std::unique_ptr<timer> a;
  {
    timer_wheel shorter{now_, 20ms};
    a = std::make_unique<timer>(shorter, [] {});
    a->start(1s);
  }
  EXPECT_FALSE(a->armed());
}

TEST_F(timer_test, thousands_of_random_moves_fire_each_at_its_last_deadline) {
  struct one {
    steady_time due;
    bool armed = false;
    std::unique_ptr<timer> what;
  };
  std::mt19937_64 random{42};
  std::vector<one> all(500);
  for (auto& each : all)
    each.what = std::make_unique<timer>(wheel_, [this, &each] {
      EXPECT_TRUE(each.armed);
      EXPECT_GE(now_, each.due);
      each.armed = false;
    });
  for (int step = 0; step < 20'000; ++step) {
    auto& each = all[random() % all.size()];
    if (random() % 4 == 0) {
      each.what->cancel();
      each.armed = false;
    } else {
      auto delay = std::chrono::milliseconds{random() % 60'000};
      each.what->start(delay);
      each.due = wheel_.now() + delay;
      each.armed = true;
    }
    if (random() % 8 == 0)
      advance(std::chrono::milliseconds{random() % 300});
    for (auto& other : all) {
      ASSERT_EQ(other.armed, other.what->armed());
      ASSERT_TRUE(!other.armed || other.due + 20ms > now_) << "late";
    }
  }
}

} // namespace
} // namespace hedwig::net
