// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/services.hpp>

#include <chrono>
#include <functional>
#include <memory>

namespace hedwig::auth_sql {

/// Ends a call into a library that has no deadline of its own: calls `cut` once when `patience` is over before this is
/// destroyed, on a thread of the host's timers; never after that.
class watchdog {
public:
  watchdog(sdk::timers& timers, std::chrono::nanoseconds patience, std::function<void()> cut);
  ~watchdog();
  watchdog(const watchdog&) = delete;
  watchdog& operator=(const watchdog&) = delete;
  [[nodiscard]] bool barked() const noexcept;

private:
  struct shared;
  sdk::timers& timers_;
  std::shared_ptr<shared> shared_;
  std::uint64_t id_;
};

} // namespace hedwig::auth_sql
