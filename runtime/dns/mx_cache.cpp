// SPDX-License-Identifier: Apache-2.0
#include "runtime/dns/mx_cache.hpp"

#include <utility>

namespace hedwig::dns {

void mx_cache::erase(entries::iterator at) {
  index_.erase(at->domain);
  entries_.erase(at);
}

std::optional<mx_answer> mx_cache::find(const std::string& domain, steady_time now) {
  std::lock_guard guard{mutex_};
  auto found = index_.find(domain);
  if (found == index_.end())
    return std::nullopt;
  auto at = found->second;
  if (at->until <= now) {
    erase(at);
    return std::nullopt;
  }
  entries_.splice(entries_.begin(), entries_, at);
  auto answer = at->answer;
  answer.ttl = std::chrono::ceil<std::chrono::seconds>(at->until - now);
  return answer;
}

void mx_cache::put(const std::string& domain, const mx_answer& answer, steady_time now) {
  if (entries_max_ == 0 || is_temporary(answer.status) || answer.ttl <= std::chrono::seconds{0})
    return;
  std::lock_guard guard{mutex_};
  if (auto found = index_.find(domain); found != index_.end())
    erase(found->second);
  if (entries_.size() >= entries_max_)
    erase(std::prev(entries_.end()));
  entries_.push_front({domain, answer, now + answer.ttl});
  index_.emplace(domain, entries_.begin());
}

void mx_cache::clear() {
  std::lock_guard guard{mutex_};
  index_.clear();
  entries_.clear();
}

std::size_t mx_cache::size() const {
  std::lock_guard guard{mutex_};
  return entries_.size();
}

} // namespace hedwig::dns
