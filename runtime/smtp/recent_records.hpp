// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <iterator>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

namespace hedwig::smtp {

/// Records by key, of whoever did something last. Bounded: where there are `most`, the one not in use that did nothing
/// for longest is forgotten. Those in use stay, so their number is the owner's to limit. Not thread-safe.
/// `Record`: default-made, with `bool in_use() const`.
template <class Record>
class recent_records {
public:
  explicit recent_records(std::size_t most) : most_{most} {}

  /// Makes it where there is none. Good until the next call.
  [[nodiscard]] Record& of(const std::string& key) {
    if (auto* found = find(key))
      return *found;
    if (entries_.size() >= most_)
      forget_one();
    entries_.push_front({key, {}});
    by_key_.emplace(entries_.front().key, entries_.begin());
    return entries_.front().record;
  }

  /// Null: there is none. Good until the next call.
  [[nodiscard]] Record* find(const std::string& key) {
    auto found = by_key_.find(key);
    if (found == by_key_.end())
      return nullptr;
    entries_.splice(entries_.begin(), entries_, found->second);
    return &entries_.front().record;
  }

  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

private:
  struct entry {
    std::string key;
    Record record;
  };
  /// Entries looked at for one that is not in use.
  static constexpr int forget_tries = 64;

  void forget_one() {
    for (int i = 0; i < forget_tries && !entries_.empty(); ++i) {
      auto last = std::prev(entries_.end());
      if (!last->record.in_use()) {
        by_key_.erase(last->key);
        entries_.erase(last);
        return;
      }
      entries_.splice(entries_.begin(), entries_, last);
    }
  }

  const std::size_t most_;
  std::list<entry> entries_; // the one used last stands first
  std::unordered_map<std::string_view, typename std::list<entry>::iterator> by_key_;
};

} // namespace hedwig::smtp
