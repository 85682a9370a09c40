// SPDX-License-Identifier: Apache-2.0
#include "runtime/net/handshake_gate.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace hedwig::net::test {
namespace {

using lane = handshake_gate::lane;

class handshake_gate_test : public ::testing::Test {
protected:
  std::unique_ptr<handshake_gate::pass> enter(const std::shared_ptr<lane>& in) {
    return lane::enter(in, [this, number = entered_++] { turns_.push_back(number); });
  }

  std::shared_ptr<handshake_gate> gate_ = std::make_shared<handshake_gate>(handshake_limits{2, 3});
  std::shared_ptr<lane> any_ = std::make_shared<lane>(gate_, 0);
  std::shared_ptr<lane> narrow_ = std::make_shared<lane>(gate_, 1);
  std::vector<int> turns_;
  int entered_ = 0;
};

TEST_F(handshake_gate_test, lets_pass_what_there_is_room_for_and_makes_the_rest_wait_in_order) {
  auto first = enter(any_);
  auto second = enter(any_);
  auto third = enter(any_);
  auto fourth = enter(any_);
  EXPECT_TRUE(first->running() && second->running());
  EXPECT_FALSE(third->running() || fourth->running());
  EXPECT_EQ(gate_->waiting(), 2u);
  EXPECT_EQ(gate_->delayed(), 2u);
  second.reset();
  EXPECT_TRUE(third->running());
  EXPECT_FALSE(fourth->running());
  first.reset();
  EXPECT_TRUE(fourth->running());
  EXPECT_EQ(turns_, (std::vector{2, 3}));
  EXPECT_EQ(gate_->running(), 2u);
  third.reset();
  fourth.reset();
  EXPECT_EQ(gate_->running(), 0u);
}

TEST_F(handshake_gate_test, refuses_who_would_be_one_too_many_to_wait) {
  std::vector<std::unique_ptr<handshake_gate::pass>> held;
  for (int i = 0; i < 5; ++i)
    held.push_back(enter(any_));
  EXPECT_EQ(enter(any_), nullptr);
  EXPECT_EQ(gate_->refused(), 1u);
  held.pop_back();
  EXPECT_NE(enter(any_), nullptr);
}

TEST_F(handshake_gate_test, who_leaves_the_line_takes_nobodys_turn) {
  auto first = enter(any_);
  auto second = enter(any_);
  auto gone = enter(any_);
  auto last = enter(any_);
  gone.reset();
  first.reset();
  EXPECT_TRUE(last->running());
  EXPECT_EQ(turns_, std::vector{3});
}

TEST_F(handshake_gate_test, a_lane_at_its_own_limit_holds_up_nobody_else) {
  auto first = enter(narrow_);
  auto waits = enter(narrow_);
  EXPECT_FALSE(waits->running());
  auto other = enter(any_);
  EXPECT_TRUE(other->running());
  auto another = enter(any_);
  EXPECT_FALSE(another->running());
  other.reset();
  EXPECT_TRUE(another->running());
  EXPECT_FALSE(waits->running());
  first.reset();
  EXPECT_TRUE(waits->running());
}

TEST_F(handshake_gate_test, wider_limits_let_the_waiting_in) {
  auto first = enter(any_);
  auto second = enter(any_);
  auto third = enter(any_);
  gate_->set_limits({0, 3});
  EXPECT_TRUE(third->running());
  EXPECT_EQ(turns_, std::vector{2});
}

TEST(handshake_gate, counts_right_when_many_threads_come_and_go) {
  auto gate = std::make_shared<handshake_gate>(handshake_limits{3, 1000});
  auto in = std::make_shared<lane>(gate, 2);
  std::atomic<int> turns{0};
  std::atomic<std::size_t> most{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int k = 0; k < 2000; ++k) {
        auto pass = lane::enter(in, [&] { ++turns; });
        auto running = gate->running();
        auto known = most.load();
        while (running > known && !most.compare_exchange_weak(known, running)) {
        }
      }
    });
  for (auto& one : threads)
    one.join();
  EXPECT_EQ(gate->running(), 0u);
  EXPECT_EQ(gate->waiting(), 0u);
  EXPECT_LE(most.load(), 2u);
}

} // namespace
} // namespace hedwig::net::test
