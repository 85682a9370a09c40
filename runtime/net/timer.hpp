// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/base/clock.hpp"

#include <chrono>
#include <cstdint>
#include <functional>

namespace hedwig::net {

class timer;
class loop;

/// What keeps armed timers: the wheel of a real loop or the event list of a simulated one. Loop thread only.
class timer_queue {
public:
  virtual ~timer_queue() = default;
  /// The loop's time, taken once an iteration.
  [[nodiscard]] virtual steady_time now() const noexcept = 0;
  /// `what` fires at or after `deadline`; it may be armed already.
  virtual void arm(timer& what, steady_time deadline) noexcept = 0;
  /// `what` is armed and must not fire.
  virtual void disarm(timer& what) noexcept = 0;

protected:
  static void fire(timer& what);
};

/// Links of a timer in whatever list it waits in.
struct timer_links {
  timer_links* next = nullptr;
  timer_links* previous = nullptr;
};

/// One deadline of one owner, on one loop: used on the loop's thread only. Starting it again moves the deadline and
/// costs next to nothing, so one timer serves a whole connection. Fires once per start(), never early, up to the
/// loop's tick late. The handler may start or cancel this timer and any other, and may destroy them.
class timer : private timer_links {
public:
  timer(loop& on, std::move_only_function<void()> handler);
  timer(timer_queue& on, std::move_only_function<void()> handler);
  timer(const timer&) = delete;
  timer& operator=(const timer&) = delete;
  /// Cancels.
  ~timer();

  /// Fires `delay` after the loop's now(); one that is running is moved. Zero or less: in the next iteration.
  void start(std::chrono::nanoseconds delay);
  void start_at(steady_time deadline);
  void cancel() noexcept;
  [[nodiscard]] bool armed() const noexcept { return armed_; }
  /// Of the last start; meaningless while not armed.
  [[nodiscard]] steady_time deadline() const noexcept { return deadline_; }

private:
  friend class timer_queue;
  friend class timer_wheel;
  friend class timer_access;

  timer_queue* queue_;
  steady_time deadline_{};
  std::uint64_t place_ = 0; // the queue's own note: slot or sequence number
  bool* destroyed_ = nullptr;
  bool armed_ = false;
  std::move_only_function<void()> handler_;
};

/// For queues outside this folder (the simulation): what they may touch of a timer.
class timer_access {
public:
  static void set_armed(timer& what, bool armed, steady_time deadline) noexcept {
    what.armed_ = armed;
    what.deadline_ = deadline;
  }
  [[nodiscard]] static std::uint64_t& place(timer& what) noexcept { return what.place_; }
};

} // namespace hedwig::net
