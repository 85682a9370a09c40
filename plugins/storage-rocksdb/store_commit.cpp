// SPDX-License-Identifier: Apache-2.0
// One group: one WriteBatch, one sync.
#include "plugins/storage-rocksdb/store.hpp"

#include <hedwig/storage_crc.hpp>

#include <cstring>

namespace hedwig::storage_rocksdb {

namespace {

template <class Key>
rocksdb::Slice key_slice(const Key& key) noexcept {
  return slice(view(key));
}

/// The batch keeps its memory from group to group, but not that of an unusually large one.
constexpr std::size_t batch_kept_max = 64 * 1024 * 1024;

} // namespace

/// Turns the writes of one group into one batch, with the counters and floors as they will be.
class rocksdb_store::group_builder {
public:
  explicit group_builder(rocksdb_store& s) : store_{s}, batch_{s.batch_} {
    std::lock_guard guard{s.counters_mutex_};
    now = s.counters_;
  }

  void add(sdk::pending_write& one) {
    switch (one.request->kind) {
    case HEDWIG_STORAGE_STAGE:
      return stage(one);
    case HEDWIG_STORAGE_APPEND:
      return append(one);
    case HEDWIG_STORAGE_DISCARD:
      return discard(one.as<hedwig_append_request>().stage);
    case HEDWIG_STORAGE_PUT:
      return put(one);
    case HEDWIG_STORAGE_MOVE:
      return move(one);
    default:
      return remove(one);
    }
  }

  /// The counters go with what they count.
  void add_counters() {
    auto lowest = store_.floor_.all();
    for (auto& [state, at] : lowered)
      lowest[state] = std::min(lowest[state], at);
    batch_.Put(store_.default_, slice(counters_key), encode_counters(now, lowest));
  }

  counters now;
  std::vector<std::pair<std::uint32_t, due_position>> lowered; ///< due keys that become visible
  std::vector<std::uint64_t> touched_stages;
  bool durable = false;

private:
  using parts = std::vector<rocksdb::Slice>;

  // ---- bodies ----

  void write_chunk(const body_place& place, std::uint32_t index, parts& pieces) {
    auto key = make_body_key(place, index);
    auto sum = sdk::crc32c(view(key)); // so that a chunk under a wrong key is found out
    for (auto& piece : pieces)
      sum = sdk::crc32c(piece.ToStringView(), sum);
    char trailer[chunk_trailer];
    std::memcpy(trailer, &sum, sizeof trailer);
    pieces.push_back({trailer, sizeof trailer});
    auto key_piece = key_slice(key);
    batch_.Put(store_.body_, rocksdb::SliceParts{&key_piece, 1},
               rocksdb::SliceParts{pieces.data(), static_cast<int>(pieces.size())});
    pieces.clear();
  }

  /// Writes full chunks out of `pending` and the slices; returns what is left over, as pieces.
  parts write_full_chunks(const body_place& place, std::string_view pending, const hedwig_slice* slices,
                          std::size_t count, std::uint32_t& index) {
    parts pieces;
    std::size_t gathered = 0;
    auto take = [&](std::string_view text) {
      while (!text.empty()) {
        auto some = text.substr(0, chunk_size - gathered);
        pieces.push_back(slice(some));
        gathered += some.size();
        text.remove_prefix(some.size());
        if (gathered == chunk_size) {
          write_chunk(place, index++, pieces);
          gathered = 0;
        }
      }
    };
    take(pending);
    for (std::size_t i = 0; i < count; ++i)
      take(sdk::view(slices[i]));
    return pieces;
  }

  // ---- stages ----

  stage_state* find_stage(std::uint64_t number) {
    auto at = store_.stages_.find(number);
    return at == store_.stages_.end() ? nullptr : &at->second;
  }

  void stage(sdk::pending_write& one) {
    if (store_.no_space_)
      return one.fail(HEDWIG_E_NO_SPACE, "the file system has less free than disk_reserve");
    if (store_.stages_.size() >= stages_max)
      return one.fail(HEDWIG_E_BUSY, "too many bodies are under way");
    one.stage = store_.next_stage_++;
    store_.stages_.try_emplace(one.stage);
    touched_stages.push_back(one.stage);
    batch_.Put(store_.default_, make_stage_key(one.stage), rocksdb::Slice{});
  }

  void append(sdk::pending_write& one) {
    auto& request = one.as<hedwig_append_request>();
    auto* stage = find_stage(request.stage);
    if (stage == nullptr)
      return one.fail(HEDWIG_E_NOT_FOUND, "no such stage");
    if (stage->broken)
      return one.fail(HEDWIG_E_IO, "an earlier part of this body was not written");
    if (store_.no_space_)
      return one.fail(HEDWIG_E_NO_SPACE, "the file system has less free than disk_reserve");
    touched_stages.push_back(request.stage);
    auto rest =
        write_full_chunks({{}, request.stage}, stage->pending, request.slices, request.slice_count, stage->chunks);
    std::string pending;
    for (auto& piece : rest)
      pending += piece.ToStringView();
    stage->pending = std::move(pending);
    stage->size += one.bytes;
  }

  void discard(std::uint64_t number) {
    auto* stage = find_stage(number);
    if (stage == nullptr)
      return;
    for (std::uint32_t i = 0; i < stage->chunks; ++i)
      batch_.SingleDelete(store_.body_, key_slice(make_body_key({{}, number}, i)));
    batch_.Delete(store_.default_, make_stage_key(number));
    store_.stages_.erase(number);
  }

  // ---- PUT ----

  bool may_put(sdk::pending_write& one, const hedwig_put_request& request) {
    if (store_.no_space_) {
      one.fail(HEDWIG_E_NO_SPACE, "the file system has less free than disk_reserve");
      return false;
    }
    if ((request.flags & HEDWIG_PUT_RETRY) != 0) {
      std::string value;
      auto found = store_.db_->Get({}, store_.meta_, slice(view(request.id)), &value);
      if (!found.IsNotFound()) {
        one.fail(found.ok() ? HEDWIG_E_EXISTS : HEDWIG_E_IO, found.ok() ? "the message is stored" : found.ToString());
        return false;
      }
    }
    auto* stage = request.stage != 0 ? find_stage(request.stage) : nullptr;
    if (request.stage != 0 && (stage == nullptr || stage->broken)) {
      one.fail(stage == nullptr ? HEDWIG_E_NOT_FOUND : HEDWIG_E_IO, "the staged body is not there");
      return false;
    }
    return true;
  }

  void put(sdk::pending_write& one) {
    auto& request = one.as<hedwig_put_request>();
    if (!may_put(one, request)) {
      if (request.stage != 0)
        discard(request.stage);
      return;
    }
    meta_record record{request.state, 1, request.due, 0, request.stage, sdk::view(request.metadata)};
    write_body(request, record);
    write_meta(request.id, record);
    put_due(record.state, make_due_position(record.due, request.id));
    now.add(record.state, record.body_size);
    one.hint = make_hint(record);
    one.revision = 1;
    durable = true;
  }

  void write_body(const hedwig_put_request& request, meta_record& record) {
    for (std::size_t i = 0; i < request.slice_count; ++i)
      record.body_size += request.slices[i].size;
    std::string pending;
    std::uint32_t chunks = 0;
    if (record.stage != 0) {
      auto node = store_.stages_.extract(record.stage);
      pending = std::move(node.mapped().pending);
      chunks = node.mapped().chunks;
      record.body_size += node.mapped().size;
      batch_.Delete(store_.default_, make_stage_key(record.stage));
    }
    body_place place{request.id, record.stage};
    auto rest = write_full_chunks(place, pending, request.slices, request.slice_count, chunks);
    if (!rest.empty())
      write_chunk(place, chunks, rest);
  }

  void write_meta(const hedwig_msg_id& id, const meta_record& record) {
    auto header = encode_meta_header(id, record);
    rocksdb::Slice key = slice(view(id));
    rocksdb::Slice value[] = {{header.data(), header.size()}, slice(record.metadata)};
    batch_.Put(store_.meta_, rocksdb::SliceParts{&key, 1}, rocksdb::SliceParts{value, 2});
  }

  void put_due(std::uint32_t state, const due_position& at) {
    batch_.Put(store_.due_, key_slice(make_due_key(state, at)), rocksdb::Slice{});
    lowered.emplace_back(state, at);
  }

  // ---- MOVE and REMOVE ----

  /// Sets the failure and returns false when there is no sound record.
  bool load(sdk::pending_write& one, const hedwig_msg_id& id, std::string& value, meta_record& record) {
    auto status = store_.db_->Get({}, store_.meta_, slice(view(id)), &value);
    if (!status.ok() && !status.IsCorruption()) {
      one.fail(status.IsNotFound() ? HEDWIG_E_NOT_FOUND : HEDWIG_E_IO, status.ToString());
      return false;
    }
    auto found = status.ok() ? decode_meta(id, value) : std::nullopt;
    if (!found) {
      store_.note_damage(id, "metadata");
      one.fail(HEDWIG_E_CORRUPT, status.ok() ? "the stored metadata failed its checksum" : status.ToString());
      return false;
    }
    record = *found;
    return true;
  }

  /// In place of load() for a MOVE that sets a damaged record aside; false when it is no such MOVE, or nothing is left.
  bool load_remains(const hedwig_move_request& request, std::string& value, meta_record& record, bool& indexed) {
    if (request.revision != 0 || request.state != HEDWIG_STATE_QUARANTINED ||
        (request.flags & HEDWIG_MOVE_METADATA) == 0)
      return false;
    auto status = store_.db_->Get({}, store_.meta_, slice(view(request.id)), &value);
    if (status.ok() ? decode_meta(request.id, value).has_value() : !status.IsCorruption() && !status.IsNotFound())
      return false;
    auto left = store_.salvage(request.id);
    auto hint = read_hint(request.hint);
    auto at = hint ? std::optional{make_due_position(hint->due, request.id)} : std::nullopt;
    record.state = hint ? hint->state : 0;
    if (!at)
      at = store_.find_due(request.id, record.state);
    indexed = at.has_value();
    if (status.IsNotFound() && !indexed && left.body_size == 0)
      return false;
    record.due = at ? due_of(view(*at)) : 0;
    record.body_size = left.body_size;
    record.stage = left.place.stage;
    return true;
  }

  void move(sdk::pending_write& one) {
    auto& request = one.as<hedwig_move_request>();
    std::string value;
    meta_record record;
    bool indexed = true;
    if (!load_remains(request, value, record, indexed) && !load(one, request.id, value, record))
      return;
    if (record.revision != request.revision)
      return one.fail(HEDWIG_E_CONFLICT, "the message has revision " + std::to_string(record.revision));
    auto before = record;
    record.state = request.state;
    record.due = request.due;
    ++record.revision;
    if ((request.flags & HEDWIG_MOVE_METADATA) != 0)
      record.metadata = sdk::view(request.metadata);
    write_meta(request.id, record);
    // A due key is written once and removed once: to write it again where it stands would break SingleDelete.
    if (before.state != record.state || before.due != record.due) {
      if (indexed)
        delete_due(before.state, before.due, request.id);
      put_due(record.state, make_due_position(record.due, request.id));
    }
    if (before.state != record.state) {
      if (indexed)
        now.subtract(before.state, record.body_size);
      now.add(record.state, record.body_size);
    }
    one.hint = make_hint(record);
    one.revision = record.revision;
    durable = true;
  }

  void delete_due(std::uint32_t state, hedwig_time_ns due, const hedwig_msg_id& id) {
    batch_.SingleDelete(store_.due_, key_slice(make_due_key(state, make_due_position(due, id))));
  }

  /// Without I/O where the hint allows it: what memory knows is used, what a table may hold is believed.
  void remove(sdk::pending_write& one) {
    auto& request = one.as<hedwig_message_request>();
    auto hint = read_hint(request.hint);
    std::string value;
    meta_record record;
    if (hint && !hint->staged && request.revision == 0) {
      bool found = false;
      if (!store_.db_->KeyMayExist({}, store_.meta_, slice(view(request.id)), &value, &found))
        return; // absent is OK
      auto known = found ? decode_meta(request.id, value) : std::nullopt;
      record = known ? *known : meta_record{hint->state, 0, hint->due, hint->body_size, 0, {}};
    } else if (!load(one, request.id, value, record)) {
      if (one.status == HEDWIG_E_NOT_FOUND)
        one.status = HEDWIG_OK;
      return;
    } else if (request.revision != 0 && request.revision != record.revision) {
      return one.fail(HEDWIG_E_CONFLICT, "the message has revision " + std::to_string(record.revision));
    }
    batch_.Delete(store_.meta_, slice(view(request.id)));
    delete_due(record.state, record.due, request.id);
    for (std::uint32_t i = 0; i < chunk_count(record.body_size); ++i)
      batch_.SingleDelete(store_.body_, key_slice(make_body_key({request.id, record.stage}, i)));
    now.subtract(record.state, record.body_size);
    durable = true;
  }

  rocksdb_store& store_;
  rocksdb::WriteBatch& batch_;
};

void rocksdb_store::commit(std::span<sdk::pending_write> group) {
  if (settings_.read_only)
    throw sdk::failure{HEDWIG_E_UNSUPPORTED, "the spool is open for reading only", settings_.path};
  if (batch_.GetDataSize() > batch_kept_max)
    batch_ = rocksdb::WriteBatch{};
  batch_.Clear();
  group_builder building{*this};
  for (auto& one : group)
    building.add(one);
  if (batch_.Count() == 0)
    return;
  if (building.durable)
    building.add_counters();
  rocksdb::WriteOptions how;
  how.sync = building.durable; // chunks of a stage wait for the sync of their PUT
  auto status = db_->Write(how, &batch_);
  if (!status.ok()) {
    for (auto number : building.touched_stages)
      if (auto at = stages_.find(number); at != stages_.end())
        at->second.broken = true;
    throw sdk::failure{failed(status), "the commit failed: " + status.ToString(), settings_.path};
  }
  for (auto& [state, at] : building.lowered)
    floor_.lower(state, at);
  std::lock_guard guard{counters_mutex_};
  counters_ = building.now;
}

void rocksdb_store::drop_stage(std::uint64_t number) {
  rocksdb::WriteBatch batch;
  std::unique_ptr<rocksdb::Iterator> at{db_->NewIterator({}, body_)};
  for (at->Seek(key_slice(make_body_key({{}, number}, 0)));
       at->Valid() && stage_of_body_key(at->key().ToStringView()) == number; at->Next())
    batch.SingleDelete(body_, at->key());
  check(at->status(), "reading a stage");
  batch.Delete(default_, make_stage_key(number));
  check(db_->Write({}, &batch), "dropping a stage");
}

} // namespace hedwig::storage_rocksdb
