// SPDX-License-Identifier: Apache-2.0
#include "runtime/queue/retry_schedule.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace hedwig::queue {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

retry_policy without_jitter() {
  retry_policy policy;
  policy.jitter = 0;
  return policy;
}

TEST(retry_schedule, doubles_from_the_first_delay_until_the_cap) {
  auto policy = without_jitter();
  EXPECT_EQ(retry_delay(policy, 1, 0.5), 60s);
  EXPECT_EQ(retry_delay(policy, 2, 0.5), 120s);
  EXPECT_EQ(retry_delay(policy, 3, 0.5), 240s);
  EXPECT_EQ(retry_delay(policy, 11, 0.5), 61440s);
  EXPECT_EQ(retry_delay(policy, 12, 0.5), 24h);
  EXPECT_EQ(retry_delay(policy, 4'000'000'000u, 0.5), 24h);
}

TEST(retry_schedule, jitter_spreads_evenly_around_the_delay) {
  retry_policy policy;
  EXPECT_EQ(retry_delay(policy, 1, 0.0), 54s);
  EXPECT_NEAR(std::chrono::duration<double>(retry_delay(policy, 1, 0.5)).count(), 60, 1e-6);
  EXPECT_NEAR(std::chrono::duration<double>(retry_delay(policy, 1, 1.0)).count(), 66, 1e-6);
}

TEST(retry_schedule, is_never_above_the_cap_however_it_is_spread) {
  retry_policy policy;
  policy.jitter = 1;
  for (double random : {0.0, 0.3, 0.999, 1.0, 7.0}) {
    EXPECT_LE(retry_delay(policy, 30, random), 24h);
    EXPECT_GE(retry_delay(policy, 30, random), 0s);
  }
}

TEST(retry_schedule, survives_any_policy_and_any_random_number) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  constexpr double inf = std::numeric_limits<double>::infinity();
  for (auto initial : {nanoseconds::min(), nanoseconds{-1}, nanoseconds{0}, nanoseconds{1}, nanoseconds::max()})
    for (auto cap : {nanoseconds::min(), nanoseconds{0}, nanoseconds{1}, nanoseconds::max()})
      for (double jitter : {-1.0, 0.0, 0.5, 1.0, 2.0, nan, inf})
        for (double random : {-1.0, 0.0, 0.999, 2.0, nan, inf}) {
          retry_policy policy{initial, cap, jitter, nanoseconds::max(), 5, {}};
          for (std::uint32_t attempts : {0u, 1u, 2u, 64u, ~0u}) {
            auto delay = retry_delay(policy, attempts, random);
            EXPECT_GE(delay, nanoseconds{0});
            EXPECT_LE(delay, std::max(cap, nanoseconds{0}));
          }
        }
}

TEST(retry_schedule, expiry_saturates_at_the_end_of_the_clock) {
  retry_policy policy;
  policy.expire_after = nanoseconds::max();
  EXPECT_EQ(expiry(policy, wall_time{1h}), wall_time::max());
  policy.expire_after = 2h;
  EXPECT_EQ(expiry(policy, wall_time{1h}), wall_time{3h});
  EXPECT_EQ(add_saturating(wall_time::min(), nanoseconds{-1}), wall_time::min());
}

TEST(retry_schedule, a_due_time_from_a_future_that_never_came_is_brought_near) {
  retry_policy policy;
  EXPECT_EQ(sane_due(policy, wall_time{1000h}, wall_time{1h}), wall_time{25h});
  EXPECT_EQ(sane_due(policy, wall_time{2h}, wall_time{1h}), wall_time{2h});
}

} // namespace
} // namespace hedwig::queue
