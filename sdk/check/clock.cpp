// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/clock.hpp"

namespace hedwig::check {

namespace {

template <class Clock>
hedwig_time_ns now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch()).count();
}

} // namespace

hedwig_time_ns test_clock::wall() const { return now<std::chrono::system_clock>() + wall_offset_; }
hedwig_time_ns test_clock::steady() const { return now<std::chrono::steady_clock>() + steady_offset_; }

void test_clock::advance(std::chrono::nanoseconds by) {
  steady_offset_ += by.count();
  wall_offset_ += by.count();
}

} // namespace hedwig::check
