// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/base/clock.hpp"

#include <chrono>
#include <cstdint>
#include <optional>

namespace hedwig::queue {

/// `[retry]`, `[dsn]` and `server.max_retries`, with their defaults.
struct retry_policy {
  std::chrono::nanoseconds initial_delay = std::chrono::seconds{60};
  std::chrono::nanoseconds max_delay = std::chrono::hours{24};
  double jitter = 0.1; ///< 0 to 1: a delay is spread evenly over ± this share of itself
  std::chrono::nanoseconds expire_after = std::chrono::hours{5 * 24};
  std::uint32_t max_retries = 5;                         ///< attempts, then it bounces; 0 and 1 both mean one attempt
  std::optional<std::chrono::nanoseconds> delay_warning; ///< age at which the sender is told; absent: never
};

/// How long to wait after the `attempts`-th failed attempt (1 is the first): initial_delay · 2^(attempts-1), capped at
/// max_delay, spread by the jitter and never above max_delay after that. `random` is uniform in [0, 1); values outside
/// are clamped. Never negative, never overflows, whatever the policy holds.
[[nodiscard]] std::chrono::nanoseconds retry_delay(const retry_policy& policy, std::uint32_t attempts,
                                                   double random) noexcept;

/// When a message first queued at `first_queued` is given up; saturates instead of overflowing.
[[nodiscard]] wall_time expiry(const retry_policy& policy, wall_time first_queued) noexcept;

/// `from + delay`, saturating at the ends of the clock.
[[nodiscard]] wall_time add_saturating(wall_time from, std::chrono::nanoseconds delay) noexcept;

/// A due time read back from a store, brought to at most max_delay after `now`: a clock that once stood in the future
/// must not freeze retries.
[[nodiscard]] wall_time sane_due(const retry_policy& policy, wall_time due, wall_time now) noexcept;

} // namespace hedwig::queue
