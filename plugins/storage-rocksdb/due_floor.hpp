// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <mutex>

#include "plugins/storage-rocksdb/records.hpp"

namespace hedwig::storage_rocksdb {

/// For each state a position below which the due index holds nothing living, so that a walk need not step over the keys
/// of a million messages that are gone. Always right as a lower bound; raised by walks that found the first living key.
/// Legal on every thread.
class due_floor {
public:
  due_floor() noexcept;

  void reset(const floors& lowest);
  /// After a commit made a key visible and before its request is completed.
  void lower(std::uint32_t state, const due_position& at);
  [[nodiscard]] due_position at(std::uint32_t state) const;
  [[nodiscard]] floors all() const;

  /// Call before the iterator is made; false when another walk of this state is measuring.
  [[nodiscard]] bool begin_walk(std::uint32_t state);
  /// `first` is the first living key that the walk from the floor found, null when it reached the end.
  void end_walk(std::uint32_t state, const due_position* first);

private:
  struct one_state {
    due_position floor{};
    due_position lowest_since{}; // put while a walk is under way, which its iterator does not see
    bool walking = false;
  };
  mutable std::mutex mutex_;
  std::array<one_state, HEDWIG_STATE_COUNT> states_;
};

} // namespace hedwig::storage_rocksdb
