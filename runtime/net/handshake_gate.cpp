// SPDX-License-Identifier: Apache-2.0
#include "runtime/net/handshake_gate.hpp"

#include <utility>

namespace hedwig::net {

std::unique_ptr<handshake_gate::pass> handshake_gate::lane::enter(std::shared_ptr<lane> in,
                                                                  std::move_only_function<void()> turn) {
  auto& gate = *in->gate_;
  std::lock_guard guard{gate.mutex_};
  if (gate.has_room(*in)) {
    ++gate.running_;
    ++in->running_;
    std::unique_ptr<pass> made{new pass{std::move(in), nullptr}};
    made->running_.store(true, std::memory_order_release);
    return made;
  }
  if (gate.waiting_.size() >= gate.limits_.waiting) {
    gate.refused_.fetch_add(1, std::memory_order_relaxed);
    return nullptr;
  }
  gate.delayed_.fetch_add(1, std::memory_order_relaxed);
  std::unique_ptr<pass> made{new pass{std::move(in), std::move(turn)}};
  made->place_ = gate.waiting_.insert(gate.waiting_.end(), made.get());
  return made;
}

handshake_gate::pass::~pass() { lane_->gate_->leave(*this); }

void handshake_gate::leave(pass& which) {
  turns next;
  {
    std::lock_guard guard{mutex_};
    if (which.running_.load(std::memory_order_relaxed)) {
      --running_;
      --which.lane_->running_;
      next = call_next();
    } else {
      waiting_.erase(which.place_);
    }
  }
  for (auto& turn : next)
    turn();
}

handshake_gate::turns handshake_gate::call_next() {
  turns next;
  for (auto at = waiting_.begin(); at != waiting_.end();) {
    if (limits_.running != 0 && running_ >= limits_.running)
      break;
    auto& one = **at;
    if (!has_room(*one.lane_)) {
      ++at;
      continue;
    }
    ++running_;
    ++one.lane_->running_;
    one.running_.store(true, std::memory_order_release);
    next.push_back(std::exchange(one.turn_, nullptr));
    at = waiting_.erase(at);
  }
  return next;
}

bool handshake_gate::has_room(const lane& in) const noexcept {
  return (limits_.running == 0 || running_ < limits_.running) &&
         (in.running_max_ == 0 || in.running_ < in.running_max_);
}

void handshake_gate::set_limits(const handshake_limits& limits) {
  turns next;
  {
    std::lock_guard guard{mutex_};
    limits_ = limits;
    next = call_next();
  }
  for (auto& turn : next)
    turn();
}

std::size_t handshake_gate::running() const {
  std::lock_guard guard{mutex_};
  return running_;
}

std::size_t handshake_gate::waiting() const {
  std::lock_guard guard{mutex_};
  return waiting_.size();
}

} // namespace hedwig::net
