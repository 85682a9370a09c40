// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "runtime/base/clock.hpp"

namespace hedwig::smtp {

/// What was counted lately: in the current minute, hour or day of the process's own clock, and in the one before. What
/// any window of that length can hold exceeds a limit on rate() by little, and never by the double.
class rate_window {
public:
  /// The count of the current length of time and of the share of the one before that is not over yet. `length`:
  /// nanoseconds, always the same of one window.
  [[nodiscard]] double rate(steady_time at, std::int64_t length) noexcept {
    auto since = at.time_since_epoch().count();
    auto current = since / length;
    if (current != number_) {
      before_ = current == number_ + 1 ? now_ : 0;
      now_ = 0;
      number_ = current;
    }
    auto left = 1.0 - static_cast<double>(since % length) / static_cast<double>(length);
    return static_cast<double>(before_) * left + static_cast<double>(now_);
  }

  /// To the length of time that rate() was last asked of.
  void add(std::size_t count) noexcept {
    auto room = std::numeric_limits<std::uint32_t>::max() - now_;
    now_ += static_cast<std::uint32_t>(std::min<std::size_t>(count, room));
  }

private:
  std::int64_t number_ = 0;
  std::uint32_t before_ = 0;
  std::uint32_t now_ = 0;
};

} // namespace hedwig::smtp
