// SPDX-License-Identifier: Apache-2.0
// hedwig/storage_lease.hpp - the leases of CLAIM, PUT and MOVE, which live in memory only.
#pragma once

#include <cstdint>
#include <cstring>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "storage.h"

namespace hedwig::sdk {

struct id_hash {
  std::size_t operator()(const hedwig_msg_id& id) const noexcept {
    std::uint64_t front, back;
    std::memcpy(&front, id.bytes, 8);
    std::memcpy(&back, id.bytes + 8, 8);
    return static_cast<std::size_t>((front ^ back) * 0x9E3779B97F4A7C15u);
  }
};
struct id_equal {
  bool operator()(const hedwig_msg_id& a, const hedwig_msg_id& b) const noexcept {
    return std::memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
  }
};

/// Who is claimed until when, on the steady clock. Legal on every thread.
class lease_table {
public:
  using steady = hedwig_time_ns;

  /// At this many running leases CLAIM returns nothing more and PUT is HEDWIG_E_BUSY.
  static constexpr std::size_t leases_max = std::size_t{1} << 20;

  /// Claims `id` until `until` whoever holds it; gives what ran before.
  std::optional<steady> set(const hedwig_msg_id& id, steady until) {
    std::lock_guard guard{mutex_};
    auto [at, fresh] = until_.try_emplace(id, until);
    if (fresh)
      return std::nullopt;
    auto before = at->second;
    at->second = until;
    return before;
  }
  /// Undoes set().
  void restore(const hedwig_msg_id& id, std::optional<steady> before) {
    if (before)
      set(id, *before);
    else
      erase(id);
  }
  /// False when a lease runs at `now`, or the table is full.
  bool try_claim(const hedwig_msg_id& id, steady now, steady until) {
    std::lock_guard guard{mutex_};
    auto at = until_.find(id);
    if (at != until_.end() && at->second > now)
      return false;
    if (at == until_.end() && until_.size() >= leases_max)
      return false;
    until_.insert_or_assign(id, until);
    return true;
  }
  bool is_claimed(const hedwig_msg_id& id, steady now) const {
    std::lock_guard guard{mutex_};
    auto at = until_.find(id);
    return at != until_.end() && at->second > now;
  }
  void erase(const hedwig_msg_id& id) {
    std::lock_guard guard{mutex_};
    until_.erase(id);
  }
  /// Undoes try_claim(), unless somebody else has set another time since.
  void release(const hedwig_msg_id& id, steady until) {
    std::lock_guard guard{mutex_};
    auto at = until_.find(id);
    if (at != until_.end() && at->second == until)
      until_.erase(at);
  }
  std::size_t size() const {
    std::lock_guard guard{mutex_};
    return until_.size();
  }
  /// Forgets what ran out. Walks the whole table: for once in a while.
  void sweep(steady now) {
    std::lock_guard guard{mutex_};
    std::erase_if(until_, [now](const auto& one) { return one.second <= now; });
  }
  void clear() {
    std::lock_guard guard{mutex_};
    until_.clear();
  }

private:
  mutable std::mutex mutex_;
  std::unordered_map<hedwig_msg_id, steady, id_hash, id_equal> until_;
};

} // namespace hedwig::sdk
