// SPDX-License-Identifier: Apache-2.0
#include "runtime/plugin/breaker.hpp"

#include <algorithm>

namespace hedwig::plugin {

const char* to_string(breaker_state state) noexcept {
  return state == breaker_state::closed ? "closed" : state == breaker_state::open ? "open" : "probing";
}

void breaker::enter(breaker_state next) noexcept {
  auto epoch = (word_.load(std::memory_order_relaxed) >> 2) + 1;
  word_.store((epoch << 2) | static_cast<std::uint64_t>(next), std::memory_order_release);
}

std::optional<breaker::ticket> breaker::admit_slowly(steady_time now) noexcept {
  std::lock_guard lock{mutex_};
  auto word = word_.load(std::memory_order_relaxed);
  if (state_of(word) == breaker_state::closed)
    return word >> 2;
  if (state_of(word) == breaker_state::probing || now < until_)
    return std::nullopt;
  enter(breaker_state::probing);
  return word_.load(std::memory_order_relaxed) >> 2;
}

bool breaker::refuses(steady_time now) const noexcept {
  auto word = word_.load(std::memory_order_acquire);
  if (state_of(word) == breaker_state::closed)
    return false;
  std::lock_guard lock{mutex_};
  word = word_.load(std::memory_order_relaxed);
  return state_of(word) == breaker_state::probing || (state_of(word) == breaker_state::open && now < until_);
}

breaker::change breaker::report(ticket of, end how, steady_time now) noexcept {
  auto word = word_.load(std::memory_order_acquire);
  if (failures_max_ == 0 || of == 0 || word >> 2 != of)
    return change::none;
  if (state_of(word) == breaker_state::closed) {
    if (how == end::neutral)
      return change::none;
    if (how == end::good) {
      if (failures_.load(std::memory_order_relaxed) != 0) // the usual case writes nothing
        failures_.store(0, std::memory_order_relaxed);
      return change::none;
    }
    if (failures_.fetch_add(1, std::memory_order_relaxed) + 1 < failures_max_)
      return change::none;
  }
  std::lock_guard lock{mutex_};
  if (word_.load(std::memory_order_relaxed) != word)
    return change::none;
  if (how == end::good) {
    failures_.store(0, std::memory_order_relaxed);
    enter(breaker_state::closed);
    return change::closed;
  }
  if (state_of(word) == breaker_state::probing)
    failures_.fetch_add(1, std::memory_order_relaxed);
  until_ = now + delay_;
  opened_.fetch_add(1, std::memory_order_relaxed);
  enter(breaker_state::open);
  return change::opened;
}

breaker::view breaker::look(steady_time now) const noexcept {
  std::lock_guard lock{mutex_};
  auto state = state_of(word_.load(std::memory_order_relaxed));
  return {.state = state,
          .failures = failures_.load(std::memory_order_relaxed),
          .left = state == breaker_state::open ? std::max(until_ - now, std::chrono::nanoseconds{0})
                                               : std::chrono::nanoseconds{0},
          .opened = opened_.load(std::memory_order_relaxed)};
}

} // namespace hedwig::plugin
