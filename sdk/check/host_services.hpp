// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/config.h>
#include <hedwig/host.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "sdk/check/clock.hpp"
#include "sdk/check/shown.hpp"

namespace hedwig::check {

/// Which host the kit plays.
struct host_kind {
  shape structs = shape::plain;
  bool bare = false; ///< no services but the settings
};

/// The services beside the core table: workers, timers, metrics and settings. Threads start with the first use.
class host_services {
public:
  host_services(const test_clock& clock, host_kind kind);
  ~host_services();
  host_services(const host_services&) = delete;
  host_services& operator=(const host_services&) = delete;

  /// The table with that id, or null. Legal on every thread, as are the others.
  const void* find(const char* id);

  hedwig_status run(std::function<void()> work);
  std::uint64_t start_timer(hedwig_duration_ns delay, std::function<void()> fire);
  /// True: it will not fire and is not running.
  bool cancel_timer(std::uint64_t timer);
  /// stop() is completed: what is left never fires.
  void forget_timers();
  /// Timers and work that wait.
  std::size_t waiting();
  /// Waits until no work waits or runs; false when that takes longer than a minute.
  bool wait_idle();

  /// Remembers a call of `function` on a thread where it is not `allowed`.
  void judge_thread(const char* function, bool allowed);
  std::vector<std::string> wrong_threads();

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
  const host_kind kind_;
  const hedwig_host_worker* worker_;
  const hedwig_host_timer* timer_;
  const hedwig_host_metric* metric_;
  const hedwig_host_config* config_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::deque<std::function<void()>> queue_;
  std::map<std::uint64_t, timer> timers_;
  std::uint64_t last_timer_ = 0;
  std::uint64_t firing_ = 0;
  std::size_t working_ = 0;
  std::vector<std::string> wrong_threads_;
  std::vector<std::thread> pool_;
  std::thread timekeeper_;
};

} // namespace hedwig::check
