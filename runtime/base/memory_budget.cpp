// SPDX-License-Identifier: Apache-2.0
#include "runtime/base/memory_budget.hpp"

#include <algorithm>

namespace hedwig {

namespace {

constexpr auto relaxed = std::memory_order_relaxed;

/// Adds where the sum stays within the limit.
bool add_within(std::atomic<std::uint64_t>& to, std::uint64_t bytes, std::uint64_t limit) noexcept {
  auto now = to.load(relaxed);
  do {
    if (now > limit || bytes > limit - now)
      return false;
  } while (!to.compare_exchange_weak(now, now + bytes, relaxed));
  return true;
}

enum group : std::size_t { receiving, keeping, delivering };

} // namespace

std::string_view to_string_view(memory_user user) noexcept {
  constexpr std::array<std::string_view, memory_user_count> names{"sessions", "spooler", "caches", "deliveries"};
  return names[static_cast<std::size_t>(user)];
}

std::size_t memory_budget::group_of(memory_user user) noexcept {
  switch (user) {
  case memory_user::caches:
    return keeping;
  case memory_user::deliveries:
    return delivering;
  default:
    return receiving;
  }
}

void memory_budget::set_limits(const memory_limits& limits) noexcept {
  auto quarter = limits.total / 4;
  limit_.store(limits.total, relaxed);
  all_but_deliveries_limit_.store(limits.total - quarter, relaxed);
  group_limits_[receiving].store(limits.received, relaxed);
  group_limits_[keeping].store(std::min(limits.kept, limits.total / 2), relaxed);
  group_limits_[delivering].store(quarter, relaxed);
}

std::uint64_t memory_budget::most(memory_user user) const noexcept {
  auto group = group_of(user);
  auto own = group_limits_[group].load(relaxed);
  return group == delivering ? own : std::min(own, all_but_deliveries_limit_.load(relaxed));
}

std::uint64_t memory_budget::total() const noexcept {
  return all_but_deliveries_.load(relaxed) + groups_[delivering].load(relaxed);
}

memory_ledger memory_budget::ledger() const noexcept {
  memory_ledger all;
  for (std::size_t i = 0; i < memory_user_count; ++i)
    all.used[i] = used_[i].load(relaxed);
  all.total = total();
  all.limit = limit_.load(relaxed);
  all.peak = peak_.load(relaxed);
  all.refused = refused_.load(relaxed);
  return all;
}

void memory_budget::note_peak() noexcept {
  auto now = total();
  auto known = peak_.load(relaxed);
  while (now > known && !peak_.compare_exchange_weak(known, now, relaxed)) {
  }
}

bool memory_budget::take(memory_user user, std::uint64_t bytes) noexcept {
  auto group = group_of(user);
  auto joint = group != delivering;
  auto fits = !joint || add_within(all_but_deliveries_, bytes, all_but_deliveries_limit_.load(relaxed));
  if (fits && !add_within(groups_[group], bytes, group_limits_[group].load(relaxed))) {
    if (joint)
      all_but_deliveries_.fetch_sub(bytes, relaxed);
    fits = false;
  }
  if (!fits) {
    refused_.fetch_add(1, relaxed);
    return false;
  }
  used_[static_cast<std::size_t>(user)].fetch_add(bytes, relaxed);
  note_peak();
  return true;
}

bool memory_budget::fits(memory_user user, std::uint64_t bytes) const noexcept {
  auto group = group_of(user);
  auto within = [&](const auto& of, const auto& limit) {
    auto now = of.load(relaxed);
    auto most = limit.load(relaxed);
    return now <= most && bytes <= most - now;
  };
  return (group == delivering || within(all_but_deliveries_, all_but_deliveries_limit_)) &&
         within(groups_[group], group_limits_[group]);
}

void memory_budget::take_anyway(memory_user user, std::uint64_t bytes) noexcept {
  auto group = group_of(user);
  if (group != delivering)
    all_but_deliveries_.fetch_add(bytes, relaxed);
  groups_[group].fetch_add(bytes, relaxed);
  used_[static_cast<std::size_t>(user)].fetch_add(bytes, relaxed);
  note_peak();
}

void memory_budget::give(memory_user user, std::uint64_t bytes) noexcept {
  auto group = group_of(user);
  used_[static_cast<std::size_t>(user)].fetch_sub(bytes, relaxed);
  groups_[group].fetch_sub(bytes, relaxed);
  if (group != delivering)
    all_but_deliveries_.fetch_sub(bytes, relaxed);
}

/// Among sessions, spooler and caches.
bool memory_budget::move(memory_user from, memory_user to, std::uint64_t bytes) noexcept {
  auto old_group = group_of(from);
  auto new_group = group_of(to);
  if (old_group != new_group) {
    if (!add_within(groups_[new_group], bytes, group_limits_[new_group].load(relaxed)))
      return false;
    groups_[old_group].fetch_sub(bytes, relaxed);
  }
  used_[static_cast<std::size_t>(to)].fetch_add(bytes, relaxed);
  used_[static_cast<std::size_t>(from)].fetch_sub(bytes, relaxed);
  return true;
}

bool memory_reservation::grow(std::uint64_t bytes) noexcept {
  if (bytes <= bytes_)
    return true;
  if (budget_ == nullptr || !budget_->take(user_, bytes - bytes_))
    return false;
  bytes_ = bytes;
  return true;
}

void memory_reservation::grow_anyway(std::uint64_t bytes) noexcept {
  if (bytes <= bytes_ || budget_ == nullptr)
    return;
  budget_->take_anyway(user_, bytes - bytes_);
  bytes_ = bytes;
}

void memory_reservation::shrink(std::uint64_t bytes) noexcept {
  if (bytes >= bytes_)
    return;
  budget_->give(user_, bytes_ - bytes);
  bytes_ = bytes;
}

memory_reservation memory_reservation::split(std::uint64_t bytes) noexcept {
  memory_reservation part;
  part.budget_ = budget_;
  part.user_ = user_;
  part.bytes_ = std::min(bytes, bytes_);
  bytes_ -= part.bytes_;
  return part;
}

bool memory_reservation::pass_to(memory_user user) noexcept {
  if (budget_ == nullptr || user == user_)
    return true;
  if (!budget_->move(user_, user, bytes_))
    return false;
  user_ = user;
  return true;
}

} // namespace hedwig
