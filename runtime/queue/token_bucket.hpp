// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/base/clock.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace hedwig::queue {

/// `limit` tokens a minute, at most `limit` saved up: `server.rate_limits`. A plain value; the clock is the caller's.
class token_bucket {
public:
  token_bucket(std::uint64_t limit, steady_time now) noexcept : tokens_{static_cast<double>(limit)}, filled_{now} {}

  /// Takes one token, if there is one. `limit` is that in force now; 0: unlimited.
  [[nodiscard]] bool take(std::uint64_t limit, steady_time now) noexcept {
    if (limit == 0)
      return true;
    fill(limit, now);
    if (tokens_ < 1)
      return false;
    tokens_ -= 1;
    return true;
  }

  /// How long until there is a token; zero when there is one, or no limit.
  [[nodiscard]] std::chrono::nanoseconds wait(std::uint64_t limit, steady_time now) noexcept {
    if (limit == 0)
      return {};
    fill(limit, now);
    return std::chrono::ceil<std::chrono::nanoseconds>(std::max(1 - tokens_, 0.0) * token_time(limit));
  }

  /// The time in which one token comes.
  [[nodiscard]] static std::chrono::duration<double> token_time(std::uint64_t limit) noexcept {
    return std::chrono::duration<double>{60.0 / static_cast<double>(std::max<std::uint64_t>(limit, 1))};
  }

  /// Nothing was taken for so long that a new one would be no different.
  [[nodiscard]] bool is_full(std::uint64_t limit, steady_time now) noexcept {
    fill(limit, now);
    return tokens_ >= static_cast<double>(limit);
  }

private:
  void fill(std::uint64_t limit, steady_time now) noexcept {
    auto minutes = std::chrono::duration<double, std::ratio<60>>(now - filled_).count();
    tokens_ = std::min(static_cast<double>(limit), tokens_ + minutes * static_cast<double>(limit));
    filled_ = now;
  }

  double tokens_;
  steady_time filled_;
};

} // namespace hedwig::queue
