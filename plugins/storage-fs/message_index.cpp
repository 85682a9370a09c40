// SPDX-License-Identifier: Apache-2.0
#include "plugins/storage-fs/message_index.hpp"

namespace hedwig::storage_fs {

namespace {

std::string make_cursor(hedwig_time_ns due, const hedwig_msg_id& id) {
  std::string cursor(message_index::due_cursor_size, '\0');
  std::memcpy(cursor.data(), &due, 8); // lives as long as the walk: no byte order to agree on
  std::memcpy(cursor.data() + 8, id.bytes, 16);
  return cursor;
}

} // namespace

std::optional<record> message_index::find(const hedwig_msg_id& id) const {
  std::lock_guard guard{mutex_};
  auto at = messages_.find(id);
  return at == messages_.end() ? std::nullopt : std::optional{at->second};
}

void message_index::forget(std::map<hedwig_msg_id, record, id_less>::iterator at) {
  due_[at->second.state].erase({at->second.due, at->first});
  bytes_[at->second.state] -= at->second.body_size;
}

void message_index::put(const hedwig_msg_id& id, const record& what) {
  std::lock_guard guard{mutex_};
  auto [at, fresh] = messages_.try_emplace(id, what);
  if (!fresh) {
    forget(at);
    at->second = what;
  }
  due_[what.state].insert({what.due, id});
  bytes_[what.state] += what.body_size;
}

void message_index::erase(const hedwig_msg_id& id) {
  std::lock_guard guard{mutex_};
  auto at = messages_.find(id);
  if (at == messages_.end())
    return;
  forget(at);
  messages_.erase(at);
}

void message_index::clear() {
  std::lock_guard guard{mutex_};
  messages_.clear();
  for (auto& one : due_)
    one.clear();
  bytes_ = {};
}

std::vector<indexed> message_index::by_due(std::uint32_t states, hedwig_time_ns due_before, std::size_t limit,
                                           std::string& cursor) const {
  std::lock_guard guard{mutex_};
  using iterator = std::set<due_position>::const_iterator;
  std::array<std::pair<iterator, iterator>, HEDWIG_STATE_COUNT> parts;
  for (std::uint32_t state = 0; state < HEDWIG_STATE_COUNT; ++state) {
    auto& all = due_[state];
    auto from = all.begin();
    if (cursor.size() == due_cursor_size) {
      due_position after{};
      std::memcpy(&after.due, cursor.data(), 8);
      std::memcpy(after.id.bytes, cursor.data() + 8, 16);
      from = all.upper_bound(after);
    }
    bool wanted = state != 0 && (states & HEDWIG_STATE_MASK(state)) != 0;
    parts[state] = {wanted ? from : all.end(), all.end()};
  }
  std::vector<indexed> found;
  for (;;) {
    std::pair<iterator, iterator>* lowest = nullptr;
    for (auto& part : parts)
      if (part.first != part.second && (lowest == nullptr || *part.first < *lowest->first))
        lowest = &part;
    if (lowest == nullptr || (due_before != 0 && lowest->first->due >= due_before)) {
      cursor.clear();
      return found;
    }
    if (found.size() >= limit)
      return found;
    cursor = make_cursor(lowest->first->due, lowest->first->id);
    found.push_back({lowest->first->id, messages_.at(lowest->first->id)});
    ++lowest->first;
  }
}

std::vector<indexed> message_index::by_receipt(std::uint32_t states, hedwig_time_ns due_before, std::size_t limit,
                                               std::string& cursor) const {
  std::lock_guard guard{mutex_};
  auto at = messages_.begin();
  if (cursor.size() == receipt_cursor_size) {
    hedwig_msg_id after;
    std::memcpy(after.bytes, cursor.data(), sizeof after.bytes);
    at = messages_.upper_bound(after);
  }
  std::vector<indexed> found;
  for (std::size_t walked = 0; at != messages_.end(); ++at, ++walked) {
    if (found.size() >= limit || walked >= walk_max)
      return found;
    cursor.assign(reinterpret_cast<const char*>(at->first.bytes), sizeof at->first.bytes);
    if ((states & HEDWIG_STATE_MASK(at->second.state)) != 0 && (due_before == 0 || at->second.due < due_before))
      found.push_back({at->first, at->second});
  }
  cursor.clear();
  return found;
}

std::array<hedwig_state_stats, HEDWIG_STATE_COUNT> message_index::stats() const {
  std::lock_guard guard{mutex_};
  std::array<hedwig_state_stats, HEDWIG_STATE_COUNT> all{};
  for (std::size_t state = 0; state < all.size(); ++state)
    all[state] = {due_[state].size(), bytes_[state], due_[state].empty() ? 0 : due_[state].begin()->due};
  return all;
}

} // namespace hedwig::storage_fs
