// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/base/clock.hpp"

#include <atomic>

namespace hedwig {

/// The wall clock for what falls due: it follows steps forward, and goes on at its pace where the wall clock is set
/// back, so that nothing has to wait for a time that it has already been. Callable from every thread.
class onward_clock {
public:
  /// `behind` outlives it.
  explicit onward_clock(const clock& behind) noexcept;

  [[nodiscard]] wall_time now() noexcept;
  /// It has been `time` before, in an earlier life; one that lies behind now() changes nothing.
  void advance_to(wall_time time) noexcept;
  /// How far the wall clock has been set back since this one was made, or before it; zero or more.
  [[nodiscard]] std::chrono::nanoseconds set_back() noexcept;

private:
  wall_time lead_by(std::chrono::nanoseconds wall, std::chrono::nanoseconds steady) noexcept;

  const clock& behind_;
  std::atomic<std::int64_t> lead_; ///< nanoseconds of the wall clock over the steady one, at their most
};

} // namespace hedwig
