// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <utility>

#include "runtime/base/clock.hpp"

namespace hedwig::telemetry {

/// Lets one kind of event through once in a while and counts those between: what happens to thousands of messages for
/// one cause need not be said thousands of times. For one thread.
class log_throttle {
public:
  explicit constexpr log_throttle(std::chrono::nanoseconds every) noexcept : every_{every} {}

  /// It happened once more. How often since the last time that this was not 0; 0: say nothing now.
  [[nodiscard]] std::uint64_t happened(steady_time now) noexcept {
    ++count_;
    if (said_before_ && now - said_ < every_)
      return 0;
    said_before_ = true;
    said_ = now;
    return std::exchange(count_, 0);
  }

private:
  std::chrono::nanoseconds every_;
  steady_time said_{};
  std::uint64_t count_ = 0;
  bool said_before_ = false;
};

/// The same for any thread.
class shared_throttle {
public:
  explicit shared_throttle(std::chrono::nanoseconds every) noexcept : one_{every} {}
  [[nodiscard]] std::uint64_t happened(steady_time now) {
    std::lock_guard lock{mutex_};
    return one_.happened(now);
  }

private:
  std::mutex mutex_;
  log_throttle one_;
};

} // namespace hedwig::telemetry
