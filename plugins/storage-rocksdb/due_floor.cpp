// SPDX-License-Identifier: Apache-2.0
#include "plugins/storage-rocksdb/due_floor.hpp"

#include <algorithm>

namespace hedwig::storage_rocksdb {

namespace {

due_position highest() noexcept {
  due_position at;
  at.fill(0xFF);
  return at;
}

} // namespace

due_floor::due_floor() noexcept = default;

void due_floor::reset(const floors& lowest) {
  std::lock_guard guard{mutex_};
  for (std::size_t state = 0; state < states_.size(); ++state)
    states_[state] = {lowest[state], highest(), false};
}

void due_floor::lower(std::uint32_t state, const due_position& at) {
  std::lock_guard guard{mutex_};
  auto& one = states_[state];
  one.floor = std::min(one.floor, at);
  one.lowest_since = std::min(one.lowest_since, at);
}

due_position due_floor::at(std::uint32_t state) const {
  std::lock_guard guard{mutex_};
  return states_[state].floor;
}

floors due_floor::all() const {
  std::lock_guard guard{mutex_};
  floors lowest{};
  for (std::size_t state = 0; state < states_.size(); ++state)
    lowest[state] = states_[state].floor;
  return lowest;
}

bool due_floor::begin_walk(std::uint32_t state) {
  std::lock_guard guard{mutex_};
  auto& one = states_[state];
  if (one.walking)
    return false;
  one.walking = true;
  one.lowest_since = highest();
  return true;
}

void due_floor::end_walk(std::uint32_t state, const due_position* first) {
  std::lock_guard guard{mutex_};
  auto& one = states_[state];
  one.walking = false;
  one.floor = std::min(first != nullptr ? *first : highest(), one.lowest_since);
}

} // namespace hedwig::storage_rocksdb
