// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sdk/check/storage/store.hpp"

namespace hedwig::check::storage {

/// What a store must hold after the same requests: the contract in memory, without disks, threads or groups.
class model {
public:
  struct message {
    std::uint64_t number = 0;
    std::uint64_t body_number = 0; ///< of body_of()
    std::size_t body_size = 0;
    std::string metadata;
    std::uint32_t state = 0;
    hedwig_time_ns due = 0;
    std::uint64_t revision = 0;
    hedwig_storage_hint hint{};
    std::optional<hedwig_time_ns> lease; ///< on the steady clock
  };

  void put(message one) { messages_[one.number] = std::move(one); }
  void remove(std::uint64_t number) { messages_.erase(number); }
  message* find(std::uint64_t number) {
    auto at = messages_.find(number);
    return at == messages_.end() ? nullptr : &at->second;
  }
  std::size_t size() const { return messages_.size(); }
  /// The n-th by number, 0 to size() - 1.
  std::uint64_t nth(std::uint64_t n) const { return std::next(messages_.begin(), static_cast<long>(n))->first; }

  bool is_claimed(const message& one, hedwig_time_ns steady) const { return one.lease && *one.lease > steady; }
  void forget_leases();
  void forget_hints();
  /// In the order of a walk.
  std::vector<const message*> walk(std::uint32_t states, hedwig_time_ns due_before, bool by_receipt) const;
  /// Those of a walk by due time that no lease holds.
  std::vector<const message*> claimable(std::uint32_t states, hedwig_time_ns due_before, hedwig_time_ns steady) const;

  /// An entry is what the model says, or broken.
  void expect_entry(const entry_copy& got, hedwig_time_ns steady, bool with_metadata);
  /// STATS agree, or broken.
  void expect_stats(const answer& got) const;

private:
  std::map<std::uint64_t, message> messages_;
};

} // namespace hedwig::check::storage
