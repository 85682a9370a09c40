// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/base/clock.hpp"
#include "runtime/dns/resolver.hpp"

#include <cstddef>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

namespace hedwig::dns {

/// Answers by domain until their TTL ends; the one asked for longest ago leaves first when full. Any thread.
class mx_cache {
public:
  /// `entries_max` 0 caches nothing.
  explicit mx_cache(std::size_t entries_max) : entries_max_{entries_max} {}

  /// With what is left of its TTL.
  [[nodiscard]] std::optional<mx_answer> find(const std::string& domain, steady_time now);
  /// Temporary answers and those without a TTL are not kept.
  void put(const std::string& domain, const mx_answer& answer, steady_time now);
  void clear();
  [[nodiscard]] std::size_t size() const;

private:
  struct entry {
    std::string domain;
    mx_answer answer;
    steady_time until;
  };
  using entries = std::list<entry>;
  void erase(entries::iterator at);

  const std::size_t entries_max_;
  mutable std::mutex mutex_;
  entries entries_; // the latest asked for first
  std::unordered_map<std::string, entries::iterator> index_;
};

} // namespace hedwig::dns
