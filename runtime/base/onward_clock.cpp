// SPDX-License-Identifier: Apache-2.0
#include "runtime/base/onward_clock.hpp"

#include <algorithm>

namespace hedwig {

onward_clock::onward_clock(const clock& behind) noexcept
  : behind_{behind}, lead_{(behind.wall().time_since_epoch() - behind.steady().time_since_epoch()).count()} {}

wall_time onward_clock::now() noexcept {
  // The wall clock first: a pause between the two makes the lead too small for once, never too large for ever.
  auto wall = behind_.wall().time_since_epoch();
  return lead_by(wall, behind_.steady().time_since_epoch());
}

void onward_clock::advance_to(wall_time time) noexcept {
  lead_by(time.time_since_epoch(), behind_.steady().time_since_epoch());
}

wall_time onward_clock::lead_by(std::chrono::nanoseconds wall, std::chrono::nanoseconds steady) noexcept {
  auto lead = (wall - steady).count();
  auto most = lead_.load(std::memory_order_relaxed);
  while (lead > most && !lead_.compare_exchange_weak(most, lead, std::memory_order_relaxed)) {
  }
  return wall_time{steady + std::chrono::nanoseconds{std::max(lead, most)}};
}

std::chrono::nanoseconds onward_clock::set_back() noexcept { return now() - behind_.wall(); }

} // namespace hedwig
