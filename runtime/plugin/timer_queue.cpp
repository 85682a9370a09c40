// SPDX-License-Identifier: Apache-2.0
#include "runtime/plugin/timer_queue.hpp"

namespace hedwig::plugin {

std::uint64_t timer_queue::start(steady_time due, const void* owner, std::move_only_function<void()> fire) {
  std::lock_guard lock{mutex_};
  if (timers_.size() >= timers_max_)
    return 0;
  auto id = ++last_id_;
  timers_.emplace(key{due, id}, timer{owner, std::move(fire)});
  due_.emplace(id, due);
  return id;
}

bool timer_queue::cancel(std::uint64_t id, const void* owner) {
  std::lock_guard lock{mutex_};
  auto due = due_.find(id);
  if (due == due_.end())
    return false;
  auto found = timers_.find({due->second, id});
  if (found->second.owner != owner)
    return false;
  timers_.erase(found);
  due_.erase(due);
  return true;
}

std::size_t timer_queue::cancel_all(const void* owner) {
  std::lock_guard lock{mutex_};
  return std::erase_if(timers_, [&](auto& entry) {
    if (entry.second.owner != owner)
      return false;
    due_.erase(entry.first.second);
    return true;
  });
}

std::size_t timer_queue::fire_due(steady_time now) {
  for (std::size_t fired = 0;; ++fired) {
    std::unique_lock lock{mutex_};
    if (timers_.empty() || timers_.begin()->first.first > now)
      return fired;
    auto first = timers_.begin();
    auto fire = std::move(first->second.fire);
    due_.erase(first->first.second);
    timers_.erase(first);
    lock.unlock();
    fire();
  }
}

std::optional<steady_time> timer_queue::next() const {
  std::lock_guard lock{mutex_};
  return timers_.empty() ? std::nullopt : std::optional{timers_.begin()->first.first};
}

} // namespace hedwig::plugin
