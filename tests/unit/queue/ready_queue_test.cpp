// SPDX-License-Identifier: Apache-2.0
#include "runtime/queue/ready_queue.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace hedwig::queue {
namespace {

using testing::ElementsAre;

TEST(a_ready_queue, keeps_the_order_among_equals) {
  ready_queue<int> queue;
  for (int i = 0; i < 10; ++i)
    queue.push(0, i);
  EXPECT_EQ(queue.size(), 10U);
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(queue.pop(), i);
  EXPECT_TRUE(queue.empty());
}

TEST(a_ready_queue, gives_the_higher_priority_first) {
  ready_queue<std::string> queue;
  queue.push(0, "normal");
  queue.push(-9, "low");
  queue.push(9, "high");
  EXPECT_EQ(queue.pop(), "high");
  EXPECT_EQ(queue.pop(), "normal");
  EXPECT_EQ(queue.pop(), "low");
}

TEST(a_ready_queue, starves_nobody) {
  ready_queue<int> queue;
  queue.push(-9, -1);
  queue.push(-9, -2);
  std::vector<std::uint32_t> turns;
  for (std::uint32_t turn = 1; turns.size() < 2 && turn < 100; ++turn) {
    queue.push(9, static_cast<int>(turn)); // as many come as go
    if (queue.pop() < 0)
      turns.push_back(turn);
  }
  EXPECT_THAT(turns, ElementsAre(turn_of_the_oldest, 2 * turn_of_the_oldest));
}

TEST(a_ready_queue, makes_room_for_a_higher_priority_by_the_latest_of_the_lowest) {
  ready_queue<int> queue;
  queue.push(3, 1);
  queue.push(-2, 2);
  queue.push(-2, 3);
  EXPECT_EQ(queue.displace(-2), std::nullopt);
  EXPECT_EQ(queue.displace(-1), 3);
  EXPECT_EQ(queue.displace(9), 2);
  EXPECT_EQ(queue.displace(3), std::nullopt);
  EXPECT_EQ(queue.displace(4), 1);
  EXPECT_EQ(queue.displace(4), std::nullopt);
  EXPECT_TRUE(queue.empty());
}

TEST(a_ready_queue, gives_all_and_is_empty) {
  ready_queue<std::unique_ptr<int>> queue;
  queue.push(0, std::make_unique<int>(1));
  queue.push(5, std::make_unique<int>(2));
  auto all = queue.take_all();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(*all[0], 2);
  EXPECT_TRUE(queue.empty());
  queue.push(0, std::make_unique<int>(3));
  EXPECT_EQ(*queue.pop(), 3);
}

} // namespace
} // namespace hedwig::queue
