// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace hedwig::queue {

/// Every so often the one that waits longest has its turn, whatever its priority: behind n others it waits for at most
/// (n + 1) times as many.
inline constexpr std::uint32_t turn_of_the_oldest = 4;

/// What waits for one destination: higher priorities first, in order of arrival among equals. All steps take a time
/// that depends on the number of priorities only.
template <class Job>
class ready_queue {
public:
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  void push(int priority, Job job) {
    levels_[priority].push_back({++last_number_, std::move(job)});
    ++size_;
  }

  /// The next one; legal only when there is one.
  [[nodiscard]] Job pop() {
    auto from = levels_.begin();
    if (levels_.size() > 1 && ++turn_ % turn_of_the_oldest == 0)
      for (auto it = levels_.begin(); it != levels_.end(); ++it)
        if (it->second.front().number < from->second.front().number)
          from = it;
    auto job = std::move(from->second.front().job);
    from->second.pop_front();
    forget_if_empty(from);
    return job;
  }

  /// Takes out the latest one of the lowest priority, where that is below `priority`: to make room.
  [[nodiscard]] std::optional<Job> displace(int priority) {
    if (empty() || std::prev(levels_.end())->first >= priority)
      return std::nullopt;
    auto from = std::prev(levels_.end());
    std::optional<Job> job{std::move(from->second.back().job)};
    from->second.pop_back();
    forget_if_empty(from);
    return job;
  }

  /// All of them, by priority.
  [[nodiscard]] std::vector<Job> take_all() {
    std::vector<Job> all;
    for (auto& [priority, waiting] : std::exchange(levels_, {}))
      for (auto& one : waiting)
        all.push_back(std::move(one.job));
    size_ = 0;
    return all;
  }

private:
  struct entry {
    std::uint64_t number = 0;
    Job job;
  };
  using levels = std::map<int, std::deque<entry>, std::greater<>>; // none of them empty

  void forget_if_empty(typename levels::iterator which) {
    --size_;
    if (which->second.empty())
      levels_.erase(which);
  }

  levels levels_;
  std::size_t size_ = 0;
  std::uint64_t last_number_ = 0;
  std::uint32_t turn_ = 0;
};

} // namespace hedwig::queue
