// SPDX-License-Identifier: Apache-2.0
#include "runtime/queue/retry_schedule.hpp"

#include <algorithm>
#include <limits>

namespace hedwig::queue {

namespace {

using std::chrono::nanoseconds;

// Far above every sensible delay, far below where doubles and sums of nanoseconds overflow.
constexpr nanoseconds longest = std::chrono::hours{24 * 365 * 50};

double unit(double value) noexcept { return value > 0 ? std::min(value, 1.0) : 0.0; } // NaN is 0

nanoseconds share(nanoseconds of, double fraction) noexcept {
  return nanoseconds{static_cast<nanoseconds::rep>(static_cast<double>(of.count()) * fraction)};
}

} // namespace

nanoseconds retry_delay(const retry_policy& policy, std::uint32_t attempts, double random) noexcept {
  auto cap = std::clamp(policy.max_delay, nanoseconds{0}, longest);
  auto delay = std::clamp(policy.initial_delay, nanoseconds{0}, cap);
  for (auto doublings = attempts == 0 ? 0 : attempts - 1; doublings > 0 && delay > nanoseconds{0} && delay < cap;
       --doublings)
    delay = delay > cap / 2 ? cap : delay * 2;
  auto spread = share(delay, unit(policy.jitter));
  auto low = delay - spread;
  auto high = std::min(delay + spread, cap);
  return low + share(high - low, unit(random));
}

wall_time add_saturating(wall_time from, nanoseconds delay) noexcept {
  nanoseconds::rep sum = 0;
  if (__builtin_add_overflow(from.time_since_epoch().count(), delay.count(), &sum))
    sum =
        delay.count() > 0 ? std::numeric_limits<nanoseconds::rep>::max() : std::numeric_limits<nanoseconds::rep>::min();
  return wall_time{nanoseconds{sum}};
}

wall_time expiry(const retry_policy& policy, wall_time first_queued) noexcept {
  return add_saturating(first_queued, std::max(policy.expire_after, nanoseconds{0}));
}

wall_time sane_due(const retry_policy& policy, wall_time due, wall_time now) noexcept {
  return std::min(due, add_saturating(now, std::max(policy.max_delay, nanoseconds{0})));
}

} // namespace hedwig::queue
