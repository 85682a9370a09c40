// SPDX-License-Identifier: Apache-2.0
#include "runtime/queue/token_bucket.hpp"

#include <gtest/gtest.h>

namespace hedwig::queue {
namespace {

using namespace std::chrono_literals;

int taken(token_bucket& from, std::uint64_t limit, steady_time now) {
  int count = 0;
  while (count < 1000 && from.take(limit, now))
    ++count;
  return count;
}

TEST(token_bucket, gives_a_burst_of_the_limit_and_then_nothing) {
  token_bucket bucket{60, steady_time{}};
  EXPECT_EQ(taken(bucket, 60, steady_time{}), 60);
  EXPECT_FALSE(bucket.take(60, steady_time{}));
}

TEST(token_bucket, fills_evenly_over_the_minute) {
  token_bucket bucket{60, steady_time{}};
  EXPECT_EQ(taken(bucket, 60, steady_time{}), 60);
  EXPECT_EQ(taken(bucket, 60, steady_time{} + 10500ms), 10);
}

TEST(token_bucket, saves_up_no_more_than_the_limit) {
  token_bucket bucket{5, steady_time{}};
  EXPECT_EQ(taken(bucket, 5, steady_time{} + 24h), 5);
}

TEST(token_bucket, tells_when_the_next_one_comes) {
  token_bucket bucket{60, steady_time{}};
  EXPECT_EQ(bucket.wait(60, steady_time{}), 0s);
  EXPECT_EQ(taken(bucket, 60, steady_time{}), 60);
  EXPECT_EQ(bucket.wait(60, steady_time{}), 1s);
  EXPECT_EQ(bucket.wait(60, steady_time{} + 250ms), 750ms);
  EXPECT_EQ(bucket.wait(0, steady_time{}), 0s) << "no limit";
}

TEST(token_bucket, zero_is_unlimited) {
  token_bucket bucket{0, steady_time{}};
  EXPECT_EQ(taken(bucket, 0, steady_time{}), 1000);
}

TEST(token_bucket, a_limit_lowered_at_a_reload_holds_at_once) {
  token_bucket bucket{100, steady_time{}};
  EXPECT_EQ(taken(bucket, 3, steady_time{}), 3);
}

} // namespace
} // namespace hedwig::queue
