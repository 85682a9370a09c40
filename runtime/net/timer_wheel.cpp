// SPDX-License-Identifier: Apache-2.0
#include "runtime/net/timer_wheel.hpp"

#include <algorithm>
#include <bit>

namespace hedwig::net {

namespace {

void make_empty(timer_links& list) noexcept { list.next = list.previous = &list; }

bool is_empty(const timer_links& list) noexcept { return list.next == &list; }

} // namespace

timer_wheel::timer_wheel(steady_time now, std::chrono::nanoseconds tick) noexcept
  : origin_{now}, now_{now}, tick_{std::max(tick, std::chrono::nanoseconds{1'000'000})} {
  for (auto& slot : slots_)
    make_empty(slot);
  make_empty(soon_);
  make_empty(due_);
}

timer_wheel::~timer_wheel() {
  auto drop = [this](timer_links& list) {
    while (!is_empty(list))
      disarm(*static_cast<timer*>(list.next));
  };
  for (auto& slot : slots_)
    drop(slot);
  drop(soon_);
  drop(due_);
}

std::int64_t timer_wheel::tick_of(steady_time deadline) const noexcept {
  // Rounded up: a timer never fires early.
  auto since = std::max(deadline - origin_, std::chrono::nanoseconds::zero());
  return since / tick_ + (since % tick_ == std::chrono::nanoseconds::zero() ? 0 : 1);
}

void timer_wheel::link(timer& what, timer_links& list, std::uint64_t place) noexcept {
  what.previous = list.previous;
  what.next = &list;
  list.previous->next = &what;
  list.previous = &what;
  what.place_ = place;
  if (place < slot_count)
    occupied_[place / 64] |= std::uint64_t{1} << (place % 64);
}

void timer_wheel::unlink(timer& what) noexcept {
  what.previous->next = what.next;
  what.next->previous = what.previous;
  if (what.place_ < slot_count && is_empty(slots_[what.place_]))
    occupied_[what.place_ / 64] &= ~(std::uint64_t{1} << (what.place_ % 64));
}

void timer_wheel::hang(timer& what) noexcept {
  auto at = std::max(tick_of(what.deadline_), current_ + 1);
  auto slot = static_cast<std::uint64_t>(at) % slot_count;
  link(what, slots_[slot], slot);
}

void timer_wheel::arm(timer& what, steady_time deadline) noexcept {
  bool later = deadline >= what.deadline_;
  if (what.armed_ && what.place_ < slot_count && later) {
    what.deadline_ = deadline;
    return;
  }
  if (what.armed_)
    unlink(what);
  what.armed_ = true;
  what.deadline_ = deadline;
  if (deadline <= now_)
    link(what, soon_, soon_place);
  else
    hang(what);
}

void timer_wheel::disarm(timer& what) noexcept {
  unlink(what);
  what.armed_ = false;
}

void timer_wheel::collect_soon() noexcept {
  while (!is_empty(soon_)) {
    auto& node = *static_cast<timer*>(soon_.next);
    unlink(node);
    link(node, due_, due_place);
  }
}

/// Moves what is due by tick `until` to the due list and hangs up anew what was moved to later.
void timer_wheel::collect(timer_links& list, std::int64_t until) noexcept {
  auto* last = list.previous;
  for (bool more = !is_empty(list); more;) {
    auto* links = list.next;
    more = links != last;
    auto& node = *static_cast<timer*>(links);
    unlink(node);
    if (tick_of(node.deadline_) <= until)
      link(node, due_, due_place);
    else
      hang(node);
  }
}

std::size_t timer_wheel::advance(steady_time now) {
  now_ = std::max(now, now_);
  auto until = (now_ - origin_) / tick_;
  collect_soon();
  // After a pause longer than a turn of the wheel every slot is visited once.
  auto first = std::max(current_ + 1, until - static_cast<std::int64_t>(slot_count) + 1);
  current_ = std::max(current_, until);
  for (auto tick = first; tick <= until; ++tick)
    collect(slots_[static_cast<std::uint64_t>(tick) % slot_count], until);
  std::size_t fired = 0;
  while (!is_empty(due_)) {
    auto& node = *static_cast<timer*>(due_.next);
    disarm(node);
    ++fired;
    fire(node);
  }
  return fired;
}

std::optional<std::chrono::nanoseconds> timer_wheel::next_wait(steady_time now) const noexcept {
  if (!is_empty(soon_) || !is_empty(due_))
    return std::chrono::nanoseconds::zero();
  auto start = static_cast<std::uint64_t>(current_ + 1) % slot_count;
  for (std::uint64_t step = 0; step < slot_count;) {
    auto slot = (start + step) % slot_count;
    auto word = occupied_[slot / 64] >> (slot % 64);
    if (word == 0) {
      step += 64 - slot % 64;
      continue;
    }
    step += static_cast<std::uint64_t>(std::countr_zero(word));
    auto at = origin_ + (current_ + 1 + static_cast<std::int64_t>(step)) * tick_;
    return std::max(at - now, std::chrono::nanoseconds::zero());
  }
  return std::nullopt;
}

} // namespace hedwig::net
