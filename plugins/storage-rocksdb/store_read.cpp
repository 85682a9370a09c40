// SPDX-License-Identifier: Apache-2.0
// READ, STAT, LIST, CLAIM and STATS: on reader threads, while commits go on.
#include "plugins/storage-rocksdb/store.hpp"

#include <hedwig/storage_crc.hpp>

#include <rocksdb/snapshot.h>

#include <cstring>
#include <optional>

namespace hedwig::storage_rocksdb {

namespace {

std::string hex(const hedwig_msg_id& id) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (auto byte : id.bytes) {
    out += digits[byte >> 4];
    out += digits[byte & 15];
  }
  return out;
}

/// A value that the database keeps in place until the host drops its buffer.
struct pinned_chunk {
  rocksdb::PinnableSlice value;
  std::shared_ptr<rocksdb::Cache> cache; // what the value may be pinned in
  ~pinned_chunk() { value.Reset(); }
};

} // namespace

// ---- the due index

/// Walks the due indexes of several states as one, in order of (due, id). Holds its iterators and, for LIST, a
/// snapshot.
class rocksdb_store::due_walk {
public:
  due_walk(rocksdb_store& store, std::uint32_t states, hedwig_time_ns due_before, std::string_view cursor,
           bool with_snapshot)
    : store_{store} {
    for (std::uint32_t state = 1; state < HEDWIG_STATE_COUNT; ++state)
      if ((states & HEDWIG_STATE_MASK(state)) != 0)
        add_part(state, due_before);
    // Only a walk from the floor learns where the first living key is; it must be announced before its view is made.
    for (auto& one : parts_)
      one->measures = cursor.empty() && store.floor_.begin_walk(one->state);
    if (with_snapshot)
      snapshot_.emplace(store.db_.get());
    for (auto& one : parts_)
      open(*one, cursor);
    find_lowest();
  }

  bool valid() const noexcept { return lowest_ != nullptr; }
  std::uint32_t state() const noexcept { return lowest_->state; }
  std::string_view position() const noexcept { return lowest_->at->key().ToStringView().substr(1); }
  void next() {
    std::string last{lowest_->at->key().ToStringView()};
    lowest_->at->Next();
    step_over_damage(*lowest_, last);
    find_lowest();
  }
  const rocksdb::Snapshot* snapshot() noexcept { return snapshot_ ? snapshot_->snapshot() : nullptr; }

private:
  struct part {
    explicit part(due_floor& f) : floor{f} {}
    ~part() {
      if (measures) // left early, nothing was learned
        floor.end_walk(state, &from);
    }
    due_floor& floor;
    std::uint32_t state = 0;
    due_position from{};
    due_position until{};
    due_key until_key{};
    rocksdb::Slice until_slice;
    bool bounded = false;
    bool measures = false;
    std::unique_ptr<rocksdb::Iterator> at;
  };

  void add_part(std::uint32_t state, hedwig_time_ns due_before) {
    auto one = std::make_unique<part>(store_.floor_);
    one->state = state;
    one->bounded = due_before != 0;
    one->until = one->bounded ? make_due_position(due_before, {}) : due_position{};
    one->until_key = make_due_key(one->bounded ? state : state + 1, one->until);
    one->until_slice = slice(view(one->until_key));
    parts_.push_back(std::move(one));
  }

  void open(part& one, std::string_view cursor) {
    one.from = store_.floor_.at(one.state);
    bool after_cursor = cursor.size() == one.from.size() && cursor >= view(one.from);
    if (after_cursor)
      std::memcpy(one.from.data(), cursor.data(), cursor.size());
    rocksdb::ReadOptions how;
    how.iterate_upper_bound = &one.until_slice;
    how.snapshot = snapshot();
    one.at.reset(store_.db_->NewIterator(how, store_.due_));
    auto start = make_due_key(one.state, one.from);
    one.at->Seek(slice(view(start)));
    if (after_cursor && one.at->Valid() && one.at->key() == slice(view(start)))
      one.at->Next();
    if (!step_over_damage(one, std::string{view(start)}))
      learn(one);
  }

  /// Whether there was any. What stands in an unreadable part of the index is found by receipt only.
  bool step_over_damage(part& one, const std::string& last) {
    auto status = one.at->status();
    if (status.ok())
      return false;
    if (!status.IsCorruption())
      store_.check(status, "reading the due index");
    store_.note_damaged_table(status);
    skip_damaged(*one.at, last, 1); // of its state
    return true;
  }

  void learn(part& one) {
    if (!std::exchange(one.measures, false))
      return;
    due_position first;
    if (one.at->Valid())
      std::memcpy(first.data(), one.at->key().data() + 1, first.size());
    else if (one.bounded)
      first = std::max(one.until, one.from);
    store_.floor_.end_walk(one.state, one.at->Valid() || one.bounded ? &first : nullptr);
  }

  void find_lowest() {
    lowest_ = nullptr;
    for (auto& one : parts_)
      if (one->at->Valid() &&
          (lowest_ == nullptr || one->at->key().ToStringView().substr(1) < lowest_->at->key().ToStringView().substr(1)))
        lowest_ = one.get();
  }

  rocksdb_store& store_;
  std::vector<std::unique_ptr<part>> parts_;
  std::optional<rocksdb::ManagedSnapshot> snapshot_;
  part* lowest_ = nullptr;
};

// ---- metadata

void rocksdb_store::note_damage(const hedwig_msg_id& id, const char* what) {
  ++damaged_;
  the_host().log(HEDWIG_LOG_ERROR, "a stored message failed its checksum", {{"id", hex(id)}, {"part", what}});
}

void rocksdb_store::note_damaged_table(const rocksdb::Status& status) {
  if (table_damaged_.exchange(true))
    return;
  ++damaged_;
  the_host().log(HEDWIG_LOG_ERROR, "a table is damaged: stop the relay and run hedwig spool verify",
                 {{"why", status.ToString()}});
}

bool rocksdb_store::load(const hedwig_msg_id& id, std::string& value, meta_record& record,
                         const rocksdb::ReadOptions& how) {
  auto status = db_->Get(how, meta_, slice(view(id)), &value);
  if (status.IsNotFound())
    return false;
  if (!is_damage(status))
    check(status, "reading metadata");
  auto found = status.ok() ? decode_meta(id, value) : std::nullopt;
  if (!found) {
    if (!status.ok())
      note_damaged_table(status);
    note_damage(id, "metadata");
    throw sdk::failure{HEDWIG_E_CORRUPT, status.ok() ? "the stored metadata failed its checksum"
                                                     : "the table that holds its metadata is damaged"};
  }
  record = *found;
  return true;
}

sdk::stored_entry rocksdb_store::make_entry(const hedwig_msg_id& id, const meta_record& record, bool with_metadata) {
  return {id,
          record.state,
          0,
          make_hint(record),
          record.revision,
          record.body_size,
          record.due,
          std::string{with_metadata ? record.metadata : ""}};
}

sdk::stored_entry rocksdb_store::stat(const hedwig_message_request& request) {
  std::string value;
  meta_record record;
  if (!load(request.id, value, record))
    throw sdk::failure{HEDWIG_E_NOT_FOUND, "no such message"};
  return make_entry(request.id, record, true);
}

// ---- bodies

hedwig_slice rocksdb_store::read_chunk(const body_place& place, std::uint32_t chunk, std::uint64_t offset,
                                       std::uint64_t length) {
  auto key = make_body_key(place, chunk);
  auto pinned = std::make_unique<pinned_chunk>();
  pinned->cache = cache_;
  auto status = db_->Get({}, body_, slice(view(key)), &pinned->value);
  if (status.IsNotFound())
    throw sdk::failure{HEDWIG_E_NOT_FOUND, "no such message"};
  auto value = pinned->value.ToStringView();
  bool sound = status.ok() && value.size() >= offset + length + chunk_trailer;
  if (sound) {
    std::uint32_t sum;
    std::memcpy(&sum, value.data() + value.size() - chunk_trailer, sizeof sum);
    value.remove_suffix(chunk_trailer);
    sound = sum == sdk::crc32c(value, sdk::crc32c(view(key)));
  }
  if (!sound && (status.ok() || is_damage(status))) {
    note_damage(place.id, "body");
    throw sdk::failure{HEDWIG_E_CORRUPT, "the stored body failed its checksum"};
  }
  check(status, "reading a body");
  auto* data = reinterpret_cast<const std::uint8_t*>(value.data()) + offset;
  auto* host = the_host().raw();
  auto* raw = host->buf_wrap(
      host, data, length, [](void* context) { delete static_cast<pinned_chunk*>(context); }, pinned.get());
  if (raw == nullptr)
    throw sdk::failure{HEDWIG_E_BUSY, "the host takes no more buffers"};
  pinned.release();
  return {raw, data, length};
}

sdk::read_slices rocksdb_store::read(const hedwig_message_request& request) {
  sdk::read_slices got{the_host()};
  body_place place{request.id, 0};
  auto hint = read_hint(request.hint);
  if (hint && !hint->staged) {
    got.body_size = hint->body_size;
  } else {
    std::string value;
    meta_record record;
    try {
      if (!load(request.id, value, record))
        throw sdk::failure{HEDWIG_E_NOT_FOUND, "no such message"};
      got.body_size = record.body_size;
      place.stage = record.stage;
    } catch (const sdk::failure& e) {
      if (e.status() != HEDWIG_E_CORRUPT)
        throw;
      auto left = salvage(request.id); // the body has checksums of its own
      got.body_size = left.body_size;
      place = left.place;
    }
  }
  auto wanted = request.length == 0 ? read_max : std::min(request.length, read_max);
  for (auto offset = request.offset; offset < got.body_size && wanted > 0;) {
    auto within = offset % chunk_size;
    auto some = std::min({chunk_size - within, got.body_size - offset, wanted});
    got.add(read_chunk(place, static_cast<std::uint32_t>(offset / chunk_size), within, some));
    offset += some;
    wanted -= some;
  }
  return got;
}

// ---- lists

bool rocksdb_store::add_listed(sdk::entry_page& page, std::size_t& bytes, const hedwig_list_request& request,
                               std::uint32_t state, std::string_view position, const claim_times* claim,
                               const rocksdb::ReadOptions& how) {
  auto id = id_of(position.substr(8));
  if (claim != nullptr && !leases().try_claim(id, claim->now, claim->until))
    return false;
  std::string value;
  meta_record record;
  bool is_there = false;
  try {
    is_there = load(id, value, record, how);
  } catch (const sdk::failure& e) {
    if (e.status() == HEDWIG_E_CORRUPT) {
      if ((request.flags & HEDWIG_LIST_DAMAGED) != 0)
        page.entries.push_back(make_damaged(id, state, due_of(position), e.what()));
      return false; // a claim of it stays, so that it is not looked at again and again
    }
    if (claim != nullptr)
      leases().release(id, claim->until);
    throw;
  }
  if (!is_there && records_left_out_ && (request.flags & HEDWIG_LIST_DAMAGED) != 0)
    page.entries.push_back(
        make_damaged(id, state, due_of(position), "its record stood in a table that cannot be read"));
  // A CLAIM reads what is there now; the message may have moved since the index was read.
  if (!is_there || record.state != state || record.due != due_of(position)) {
    if (claim != nullptr)
      leases().release(id, claim->until);
    return false;
  }
  page.entries.push_back(make_entry(id, record, (request.flags & HEDWIG_LIST_METADATA) != 0));
  bytes += page.entries.back().metadata.size();
  return true;
}

sdk::entry_page rocksdb_store::list(const hedwig_list_request& request, const claim_times* claim) {
  if (claim == nullptr && (request.flags & HEDWIG_LIST_BY_RECEIPT) != 0)
    return list_by_receipt(request);
  auto cursor = sdk::view(request.cursor);
  if (!cursor.empty() && cursor.size() != sizeof(due_position))
    throw sdk::failure{HEDWIG_E_INVALID, "not a cursor of this list"};
  due_walk walk{*this, request.states, request.due_before, cursor, claim == nullptr};
  rocksdb::ReadOptions how;
  how.snapshot = walk.snapshot();
  sdk::entry_page page;
  std::size_t bytes = 0;
  auto limit = std::min<std::size_t>(request.limit, page_entries_max);
  std::string last;
  for (std::size_t walked = 0; walk.valid(); ++walked, walk.next()) {
    if (page.entries.size() >= limit || walked >= walk_max || bytes >= page_bytes_max) {
      page.cursor = last;
      break;
    }
    last = walk.position();
    add_listed(page, bytes, request, walk.state(), walk.position(), claim, how);
  }
  return page;
}

sdk::entry_page rocksdb_store::list_by_receipt(const hedwig_list_request& request) {
  auto cursor = sdk::view(request.cursor);
  if (!cursor.empty() && cursor.size() != sizeof(hedwig_msg_id))
    throw sdk::failure{HEDWIG_E_INVALID, "not a cursor of this list"};
  std::unique_ptr<rocksdb::Iterator> at{db_->NewIterator({}, meta_)};
  cursor.empty() ? at->SeekToFirst() : at->Seek(slice(cursor));
  if (!cursor.empty() && at->Valid() && at->key() == slice(cursor))
    at->Next();
  sdk::entry_page page;
  std::size_t bytes = 0;
  auto limit = std::min<std::size_t>(request.limit, page_entries_max);
  std::string last{cursor};
  last.resize(sizeof(hedwig_msg_id));
  for (std::size_t walked = 0;; ++walked, at->Next()) {
    if (!at->Valid() && at->status().IsCorruption()) {
      note_damaged_table(at->status());
      auto more = skip_damaged(*at, last, 0);
      auto behind = more ? at->key().ToString() : std::string(last.size(), '\xFF');
      if (!add_from_index(page, bytes, request, last, behind))
        return page;
    }
    if (!at->Valid())
      break;
    if (page.entries.size() >= limit || walked >= walk_max || bytes >= page_bytes_max) {
      page.cursor = last;
      return page;
    }
    last = at->key().ToStringView();
    add_by_receipt(page, bytes, request, id_of(last), at->value().ToStringView());
  }
  if (!at->status().IsCorruption())
    check(at->status(), "reading metadata");
  return page;
}

/// Where a table cannot be walked its keys may still be read one by one: the index by due time has their ids. False
/// when the page is full before the last of them.
bool rocksdb_store::add_from_index(sdk::entry_page& page, std::size_t& bytes, const hedwig_list_request& request,
                                   std::string& last, const std::string& behind) {
  auto limit = std::min<std::size_t>(request.limit, page_entries_max);
  for (auto& [key, at] : indexed_between(last, behind, limit)) {
    if (page.entries.size() >= limit || bytes >= page_bytes_max) {
      page.cursor = last;
      return false;
    }
    last = key;
    auto id = id_of(key);
    std::string value;
    meta_record record;
    try {
      if (load(id, value, record))
        add_record(page, bytes, request, id, record);
    } catch (const sdk::failure& e) {
      if (e.status() != HEDWIG_E_CORRUPT)
        throw;
      if ((request.flags & HEDWIG_LIST_DAMAGED) != 0)
        page.entries.push_back(make_damaged(id, at.state, at.due, e.what()));
    }
  }
  if (page.entries.size() >= limit) {
    page.cursor = last; // there may be more of them
    return false;
  }
  return true;
}

void rocksdb_store::add_by_receipt(sdk::entry_page& page, std::size_t& bytes, const hedwig_list_request& request,
                                   const hedwig_msg_id& id, std::string_view value) {
  auto record = decode_meta(id, value);
  bool damaged_too = (request.flags & HEDWIG_LIST_DAMAGED) != 0;
  if (!record) {
    note_damage(id, "metadata");
    std::uint32_t state = HEDWIG_STATE_QUARANTINED;
    auto at = damaged_too ? find_due(id, state) : std::nullopt;
    if (damaged_too)
      page.entries.push_back(
          make_damaged(id, state, at ? due_of(view(*at)) : 0, "the stored metadata failed its checksum"));
    return;
  }
  add_record(page, bytes, request, id, *record);
}

void rocksdb_store::add_record(sdk::entry_page& page, std::size_t& bytes, const hedwig_list_request& request,
                               const hedwig_msg_id& id, const meta_record& record) {
  if ((request.states & HEDWIG_STATE_MASK(record.state)) == 0 ||
      (request.due_before != 0 && record.due >= request.due_before))
    return;
  page.entries.push_back(make_entry(id, record, (request.flags & HEDWIG_LIST_METADATA) != 0));
  bytes += page.entries.back().metadata.size();
  if ((request.flags & HEDWIG_LIST_DAMAGED) != 0 && !is_indexed(id, record))
    page.entries.back().flags |= HEDWIG_ENTRY_UNINDEXED;
}

sdk::state_stats rocksdb_store::stats() {
  sdk::state_stats result;
  counters now;
  {
    std::lock_guard guard{counters_mutex_};
    now = counters_;
  }
  for (std::uint32_t state = 1; state < HEDWIG_STATE_COUNT; ++state) {
    auto& one = result.states[state];
    one.messages = now.states[state].messages;
    one.bytes = now.states[state].bytes;
    if (one.messages == 0)
      continue;
    due_walk walk{*this, HEDWIG_STATE_MASK(state), 0, {}, false};
    if (walk.valid())
      one.oldest_due = due_of(walk.position());
  }
  result.disk_free = disk_free_;
  result.damaged = damaged_;
  return result;
}

} // namespace hedwig::storage_rocksdb
