// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/net/timer.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>

namespace hedwig::net {

/// A hashed wheel: arming, moving and cancelling are O(1). A timer that is moved to a later time stays where it hangs
/// and is hung up anew when its old slot comes by, so that moving it costs one comparison. One loop's, on its thread.
class timer_wheel final : public timer_queue {
public:
  timer_wheel(steady_time now, std::chrono::nanoseconds tick) noexcept;
  timer_wheel(const timer_wheel&) = delete;
  timer_wheel& operator=(const timer_wheel&) = delete;
  /// Disarms what is left.
  ~timer_wheel() override;

  [[nodiscard]] steady_time now() const noexcept override { return now_; }
  void arm(timer& what, steady_time deadline) noexcept override;
  void disarm(timer& what) noexcept override;

  /// Fires what is due; returns how many.
  std::size_t advance(steady_time now);
  /// Moves now() without firing.
  void set_now(steady_time now) noexcept { now_ = now; }
  /// How long until advance() has to be called again, at the earliest; nothing: no timer is armed.
  [[nodiscard]] std::optional<std::chrono::nanoseconds> next_wait(steady_time now) const noexcept;

private:
  static constexpr std::size_t slot_count = 1024;
  static constexpr std::uint64_t soon_place = slot_count;
  static constexpr std::uint64_t due_place = slot_count + 1;

  [[nodiscard]] std::int64_t tick_of(steady_time deadline) const noexcept;
  void link(timer& what, timer_links& list, std::uint64_t place) noexcept;
  void unlink(timer& what) noexcept;
  void hang(timer& what) noexcept;
  void collect(timer_links& list, std::int64_t until) noexcept;
  void collect_soon() noexcept;

  steady_time origin_;
  steady_time now_;
  std::chrono::nanoseconds tick_;
  std::int64_t current_ = 0; // ticks since the origin whose slots were visited
  std::array<timer_links, slot_count> slots_;
  std::array<std::uint64_t, slot_count / 64> occupied_{};
  timer_links soon_; // deadline had passed when armed
  timer_links due_;  // being fired
};

} // namespace hedwig::net
