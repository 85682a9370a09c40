// SPDX-License-Identifier: Apache-2.0
// What can still be had of a message whose record, or whose place in an index, is damaged. Rare, so it may be slow.
#include "plugins/storage-rocksdb/store.hpp"

#include <cstring>
#include <iterator>

namespace hedwig::storage_rocksdb {

namespace {

/// The number in the middle of two keys of one length, as big-endian numbers.
std::string middle(std::string_view low, std::string_view high) {
  std::string sum(low.size(), '\0');
  unsigned carry = 0;
  for (std::size_t i = low.size(); i-- > 0;) {
    carry += static_cast<unsigned>(static_cast<std::uint8_t>(low[i])) + static_cast<std::uint8_t>(high[i]);
    sum[i] = static_cast<char>(carry & 0xFF);
    carry >>= 8;
  }
  for (auto& byte : sum) {
    carry = carry << 8 | static_cast<std::uint8_t>(byte);
    byte = static_cast<char>(carry >> 1);
    carry &= 1;
  }
  return sum;
}

} // namespace

/// A block that failed its checksum ends an iterator, but one that seeks behind it goes on. Where the next block begins
/// only the database knows: found by halving what lies between.
bool rocksdb_store::skip_damaged(rocksdb::Iterator& at, const std::string& last, std::size_t prefix) {
  auto low = last;
  auto high = last.substr(0, prefix) + std::string(last.size() - prefix, '\xFF');
  at.Seek(slice(high));
  if (at.status().IsCorruption())
    return false;
  for (auto between = middle(low, high); between != low; between = middle(low, high)) {
    at.Seek(slice(between));
    (at.status().IsCorruption() ? low : high) = between;
  }
  at.Seek(slice(high));
  return at.Valid();
}

std::uint64_t rocksdb_store::stored_size(const body_place& place) {
  std::uint64_t size = 0;
  std::unique_ptr<rocksdb::Iterator> at{db_->NewIterator({}, body_)};
  at->Seek(slice(view(make_body_key(place, 0))));
  for (std::uint32_t chunk = 0; at->Valid() && at->key() == slice(view(make_body_key(place, chunk)));
       ++chunk, at->Next())
    size += std::max(at->value().size(), chunk_trailer) - chunk_trailer;
  return size;
}

rocksdb_store::remains rocksdb_store::salvage(const hedwig_msg_id& id) {
  remains left{{id, 0}, 0, {}};
  left.body_size = stored_size(left.place);
  std::string value;
  if (!db_->Get({}, meta_, slice(view(id)), &value).ok() || value.size() < meta_header_size)
    return left;
  left.metadata = value.substr(meta_header_size);
  // The record's word for where the body is cannot be trusted, but its chunks have checksums that include their key.
  std::uint64_t stage = 0;
  std::memcpy(&stage, value.data() + 32, sizeof stage);
  if (left.body_size == 0 && stage != 0) {
    left.place.stage = stage;
    left.body_size = stored_size(left.place);
  }
  return left;
}

std::map<std::string, rocksdb_store::due_place>
rocksdb_store::indexed_between(const std::string& after, const std::string& before, std::size_t limit) {
  std::map<std::string, due_place> found;
  std::unique_ptr<rocksdb::Iterator> at{db_->NewIterator({}, due_)};
  std::string last(sizeof(due_key), '\0');
  for (at->SeekToFirst();; at->Next()) {
    if (!at->Valid() && (!at->status().IsCorruption() || !skip_damaged(*at, last, 0)))
      return found;
    last = at->key().ToStringView();
    auto id = last.substr(9);
    if (id <= after || id >= before)
      continue;
    found[id] = {static_cast<std::uint8_t>(last[0]), due_of(std::string_view{last}.substr(1))};
    if (found.size() > limit)
      found.erase(std::prev(found.end()));
  }
}

std::optional<due_position> rocksdb_store::find_due(const hedwig_msg_id& id, std::uint32_t& state) {
  std::unique_ptr<rocksdb::Iterator> at{db_->NewIterator({}, due_)};
  std::string last(sizeof(due_key), '\0');
  for (at->SeekToFirst();; at->Next()) {
    if (!at->Valid() && (!at->status().IsCorruption() || !skip_damaged(*at, last, 0)))
      return std::nullopt;
    last = at->key().ToStringView();
    if (last.size() != sizeof(due_key) || std::memcmp(last.data() + 9, id.bytes, sizeof id.bytes) != 0)
      continue;
    state = static_cast<std::uint8_t>(last[0]);
    due_position found;
    std::memcpy(found.data(), last.data() + 1, found.size());
    return found;
  }
}

bool rocksdb_store::is_indexed(const hedwig_msg_id& id, const meta_record& record) {
  std::string value;
  auto key = make_due_key(record.state, make_due_position(record.due, id));
  return db_->Get({}, due_, slice(view(key)), &value).ok();
}

sdk::stored_entry rocksdb_store::make_damaged(const hedwig_msg_id& id, std::uint32_t state, hedwig_time_ns due,
                                              const char* why) {
  auto left = salvage(id);
  meta_record known{state, 0, due, left.body_size, left.place.stage, {}};
  return {id,
          state,
          HEDWIG_ENTRY_DAMAGED,
          make_hint(known),
          0,
          left.body_size,
          due,
          sdk::damaged_metadata(why, left.metadata)};
}

} // namespace hedwig::storage_rocksdb
