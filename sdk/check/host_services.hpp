// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/host.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "sdk/check/clock.hpp"

namespace hedwig::check {

/// The services beside the core table: workers, timers, metrics and settings. Threads start with the first use.
class host_services {
public:
  explicit host_services(const test_clock& clock) : clock_{clock} {}
  ~host_services();
  host_services(const host_services&) = delete;
  host_services& operator=(const host_services&) = delete;

  /// The table with that id, or null. Legal on every thread, as are the others.
  const void* find(const char* id);

  hedwig_status run(std::function<void()> work);
  std::uint64_t start_timer(hedwig_duration_ns delay, std::function<void()> fire);
  /// True: it will not fire and is not running.
  bool cancel_timer(std::uint64_t timer);

private:
  static constexpr std::size_t queue_max = 1024; // of work for the pool
  static constexpr int pool_threads = 4;

  struct timer {
    hedwig_time_ns due;
    std::function<void()> fire;
  };
  void work();
  void keep_time();

  const test_clock& clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::deque<std::function<void()>> queue_;
  std::map<std::uint64_t, timer> timers_;
  std::uint64_t last_timer_ = 0;
  std::uint64_t firing_ = 0;
  std::vector<std::thread> pool_;
  std::thread timekeeper_;
};

} // namespace hedwig::check
