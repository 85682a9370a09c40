// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>

#include "runtime/base/clock.hpp"

namespace hedwig::plugin {

enum class breaker_state : std::uint8_t { closed, open, probing };
/// "closed", "open", "probing".
[[nodiscard]] const char* to_string(breaker_state state) noexcept;

/// Spares callers the wait for a provider that keeps failing: so many failures in a row open it for a while, in which
/// no call is made; then one call tries, and its end decides. Thread-safe; no clock of its own.
class breaker {
public:
  /// Goes with a call from admit() to report(). 0: the call does not count.
  using ticket = std::uint64_t;
  enum class end : std::uint8_t { good, bad, neutral };
  enum class change : std::uint8_t { none, opened, closed };

  /// `failures` 0: never opens.
  breaker(unsigned failures, std::chrono::nanoseconds delay) noexcept : failures_max_{failures}, delay_{delay} {}

  /// Whether a call may be made; one that may has to be reported, whatever becomes of it.
  [[nodiscard]] std::optional<ticket> admit(steady_time now) noexcept {
    auto word = word_.load(std::memory_order_acquire);
    return state_of(word) == breaker_state::closed ? std::optional{word >> 2} : admit_slowly(now);
  }
  /// Whether admit() would refuse. Changes nothing.
  [[nodiscard]] bool refuses(steady_time now) const noexcept;
  /// Whether report() would have nothing to do for a good end: nearly always, and told without a clock.
  [[nodiscard]] bool at_ease() const noexcept {
    return state_of(word_.load(std::memory_order_acquire)) == breaker_state::closed &&
           failures_.load(std::memory_order_relaxed) == 0;
  }
  /// A call ended. Neutral ends tell nothing, but a try that ends so has failed. Calls from before the breaker last
  /// changed its mind tell nothing either.
  change report(ticket of, end how, steady_time now) noexcept;

  struct view {
    breaker_state state = breaker_state::closed;
    unsigned failures = 0;            ///< in a row
    std::chrono::nanoseconds left{0}; ///< until the next try, while open
    std::uint64_t opened = 0;         ///< times
  };
  [[nodiscard]] view look(steady_time now) const noexcept;

private:
  // One word, so that the usual case is one load: the epoch above, the state in the low two bits. The epoch changes
  // with every state.
  void enter(breaker_state next) noexcept;
  [[nodiscard]] std::optional<ticket> admit_slowly(steady_time now) noexcept;
  [[nodiscard]] static breaker_state state_of(std::uint64_t word) noexcept {
    return static_cast<breaker_state>(word & 3);
  }

  unsigned failures_max_;
  std::chrono::nanoseconds delay_;
  std::atomic<std::uint64_t> word_{1U << 2};
  std::atomic<unsigned> failures_{0};
  std::atomic<std::uint64_t> opened_{0};
  mutable std::mutex mutex_;
  steady_time until_{};
};

} // namespace hedwig::plugin
