// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/base.h>

#include <atomic>
#include <chrono>

namespace hedwig::check {

/// The machine's clocks, pushed forward (or, the wall's, either way) by a test. Legal on every thread.
class test_clock {
public:
  hedwig_time_ns wall() const;
  hedwig_time_ns steady() const;
  /// Both clocks: time passes.
  void advance(std::chrono::nanoseconds by);
  /// The wall clock alone: somebody sets it.
  void jump(std::chrono::nanoseconds by) { wall_offset_ += by.count(); }

private:
  std::atomic<hedwig_time_ns> wall_offset_{0};
  std::atomic<hedwig_time_ns> steady_offset_{0};
};

} // namespace hedwig::check
