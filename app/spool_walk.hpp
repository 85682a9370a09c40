// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "app/spool_store.hpp"

#include <cstddef>
#include <functional>
#include <unordered_set>

namespace hedwig::app {

/// A bit for each state that a message can have.
inline constexpr std::uint32_t every_state = HEDWIG_STATE_MASK(HEDWIG_STATE_COUNT) - HEDWIG_STATE_MASK(1);

/// Visits every message of a stopped spool once, with its metadata, in constant memory: first by due time, then, by
/// receipt, what no index by due time leads to. Damaged ones are among them, with HEDWIG_ENTRY_DAMAGED.
class spool_walk {
public:
  /// Damaged messages remembered, so that the second round does not name them again; beyond that it may.
  static constexpr std::size_t damaged_max = 1'000'000;
  static constexpr std::uint32_t page_size = 256;

  using page = std::vector<plugin::storage_entry>;
  using visitor = std::function<result<void>(page&)>;

  spool_walk(spool_store& store, std::uint32_t states) : store_{store}, states_{states} {}
  /// Until `see` fails, or the store. A page is never empty.
  [[nodiscard]] result<void> run(const visitor& see);

private:
  [[nodiscard]] result<void> by_due(const visitor& see);
  [[nodiscard]] result<void> by_receipt(const visitor& see);

  spool_store& store_;
  std::uint32_t states_;
  std::unordered_set<message_id> damaged_;
};

} // namespace hedwig::app
