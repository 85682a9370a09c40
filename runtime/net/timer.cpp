// SPDX-License-Identifier: Apache-2.0
#include "runtime/net/timer.hpp"

#include "runtime/net/loop.hpp"

namespace hedwig::net {

void timer_queue::fire(timer& what) {
  // The handler may destroy the timer, and must not be destroyed with it while it runs.
  bool destroyed = false;
  what.destroyed_ = &destroyed;
  auto handler = std::move(what.handler_);
  handler();
  if (destroyed)
    return;
  what.destroyed_ = nullptr;
  what.handler_ = std::move(handler);
}

timer::timer(loop& on, std::move_only_function<void()> handler) : timer{on.timers(), std::move(handler)} {}

timer::timer(timer_queue& on, std::move_only_function<void()> handler) : queue_{&on}, handler_{std::move(handler)} {}

timer::~timer() {
  cancel();
  if (destroyed_)
    *destroyed_ = true;
}

void timer::start(std::chrono::nanoseconds delay) { start_at(queue_->now() + delay); }

void timer::start_at(steady_time deadline) { queue_->arm(*this, deadline); }

void timer::cancel() noexcept {
  if (armed_)
    queue_->disarm(*this);
}

} // namespace hedwig::net
