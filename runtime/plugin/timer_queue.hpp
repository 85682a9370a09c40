// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "runtime/base/clock.hpp"

namespace hedwig::plugin {

/// One-shot timers on the steady clock, fired by whoever calls fire_due(). Thread-safe.
class timer_queue {
public:
  explicit timer_queue(std::size_t timers_max) : timers_max_{timers_max} {}

  /// 0 when too many are pending. `owner` is for cancel_all().
  [[nodiscard]] std::uint64_t start(steady_time due, const void* owner, std::move_only_function<void()> fire);
  /// True: it will not fire and is not firing.
  bool cancel(std::uint64_t id, const void* owner);
  /// Cancels what `owner` has pending; how many.
  std::size_t cancel_all(const void* owner);

  /// Fires what is due at `now`, in order, outside the lock; how many.
  std::size_t fire_due(steady_time now);
  [[nodiscard]] std::optional<steady_time> next() const;

private:
  struct timer {
    const void* owner;
    std::move_only_function<void()> fire;
  };
  using key = std::pair<steady_time, std::uint64_t>;

  std::size_t timers_max_;
  mutable std::mutex mutex_;
  std::map<key, timer> timers_;
  std::map<std::uint64_t, steady_time> due_;
  std::uint64_t last_id_ = 0;
};

} // namespace hedwig::plugin
