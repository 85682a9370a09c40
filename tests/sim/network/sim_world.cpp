// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/network/sim_world.hpp"

#include "tests/sim/network/sim_stream.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace hedwig::sim {

sim_world::sim_world(const network_options& options)
  : faults_{options.faults}, window_max_{std::max(options.window_max, std::size_t{1})}, keep_trace_{options.keep_trace},
    random_state_{options.seed} {}

sim_world::~sim_world() = default;

std::unique_ptr<net::loop> sim_world::make_loop(const net::loop_options& options) {
  return std::make_unique<sim_loop>(*this, options);
}

// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014): the same on every machine,
// which the standard library's distributions do not promise.
std::uint64_t sim_world::random(std::uint64_t bound) noexcept {
  auto z = random_state_ += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  z ^= z >> 31;
  return bound <= 1 ? 0 : z % bound;
}

bool sim_world::chance(double probability) noexcept {
  // No draw for what never happens, so that a fault that is off leaves the rest of a seed's run as it was.
  return probability > 0 && static_cast<double>(random(1u << 30)) < probability * (1u << 30);
}

void sim_world::note(std::string_view what, std::uint64_t who, std::uint64_t amount) {
  auto mix = [this](std::uint64_t value) { trace_hash_ = (trace_hash_ ^ value) * 0x100000001b3; };
  for (unsigned char c : what)
    mix(c);
  mix(who);
  mix(amount);
  mix(static_cast<std::uint64_t>(clock_.steady().time_since_epoch().count()));
  if (keep_trace_)
    fmt::format_to(std::back_inserter(trace_), "{} {} {} {}\n",
                   (clock_.steady().time_since_epoch() - sim_clock::start).count(), what, who, amount);
}

void sim_world::set_ready(entity& which, bool ready) {
  if (ready == (which.ready_at_ != entity::not_ready))
    return;
  if (ready) {
    which.ready_at_ = ready_.size();
    ready_.push_back(&which);
    return;
  }
  auto at = std::exchange(which.ready_at_, entity::not_ready);
  if (at + 1 != ready_.size()) {
    ready_[at] = ready_.back();
    ready_[at]->ready_at_ = at;
  }
  ready_.pop_back();
}

bool sim_world::timer_due() const noexcept {
  return !timers_.empty() && timers_.begin()->first.first <= clock_.steady();
}

std::size_t sim_world::ready() const noexcept { return ready_.size() + (timer_due() ? 1 : 0); }

bool sim_world::run_once() {
  if (current_ != nullptr)
    panic("a step of the simulation began another");
  graveyard_.clear();
  auto count = ready();
  if (count == 0)
    return false;
  ++steps_;
  auto chosen = random(count);
  if (chosen == ready_.size()) {
    fire_timer();
  } else {
    auto* which = ready_[chosen];
    current_ = which->on_loop();
    which->step();
  }
  if (current_ != nullptr)
    current_->after_step();
  current_ = nullptr;
  graveyard_.clear();
  return true;
}

void sim_world::fire_timer() {
  auto entry = timers_.begin()->second;
  current_ = entry.on;
  entry.on->own_timers().disarm(*entry.what);
  note("timer", 0, 0);
  entry.on->own_timers().fire_now(*entry.what);
}

std::optional<steady_time> sim_world::next_deadline() const noexcept {
  return timers_.empty() ? std::optional<steady_time>{} : timers_.begin()->first.first;
}

void sim_world::advance_to(steady_time when) noexcept { clock_.steady_ = std::max(clock_.steady_, when); }

bool sim_world::advance() noexcept {
  if (timers_.empty())
    return false;
  advance_to(timers_.begin()->first.first);
  return true;
}

bool sim_world::settle(std::size_t steps_max) {
  for (; steps_max > 0; --steps_max)
    if (!run_once())
      return true;
  return ready() == 0;
}

bool sim_world::run_for(std::chrono::nanoseconds by, std::size_t steps_max) {
  auto end = clock_.steady() + by;
  for (; steps_max > 0; --steps_max) {
    if (run_once())
      continue;
    auto next = next_deadline();
    if (!next || *next > end) {
      advance_to(end);
      return true;
    }
    advance_to(*next);
  }
  return false;
}

void sim_world::reset_connections() {
  for (auto& each : endpoints_)
    each->receive_reset();
}

endpoint& sim_world::keep(std::unique_ptr<endpoint> made) {
  ++open_;
  made->index_ = endpoints_.size();
  endpoints_.push_back(std::move(made));
  return *endpoints_.back();
}

void sim_world::bury(endpoint& which) {
  set_ready(which, false);
  if (which.peer_ != nullptr)
    std::exchange(which.peer_, nullptr)->peer_ = nullptr;
  auto at = which.index_;
  if (at >= endpoints_.size() || endpoints_[at].get() != &which)
    return; // buried already
  graveyard_.push_back(std::move(endpoints_[at]));
  if (at + 1 != endpoints_.size()) {
    endpoints_[at] = std::move(endpoints_.back());
    endpoints_[at]->index_ = at;
  }
  endpoints_.pop_back();
}

sim_acceptor* sim_world::find_listener(const net::address& at) const {
  if (auto found = listeners_.find(at); found != listeners_.end())
    return found->second;
  auto any = at.is_v4() ? net::address::v4({}, at.port()) : net::address::v6({}, at.port());
  auto found = listeners_.find(any);
  return found != listeners_.end() ? found->second : nullptr;
}

} // namespace hedwig::sim
