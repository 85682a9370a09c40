// SPDX-License-Identifier: Apache-2.0
// One group: one transaction.
#include "plugins/storage-sql/store.hpp"

#include <hedwig/storage_crc.hpp>

#include <algorithm>
#include <chrono>
#include <deque>
#include <thread>
#include <unordered_set>

namespace hedwig::storage_sql {

namespace {

/// Bodies handed to the database in one statement, so that its copy of them stays small.
constexpr std::size_t statement_bytes_max = 4 * 1024 * 1024;
/// Between two looks whether the server is back.
constexpr auto outcome_pause = std::chrono::milliseconds{100};

const hedwig_msg_id& target_of(const sdk::pending_write& one) noexcept {
  if (one.request->kind == HEDWIG_STORAGE_PUT)
    return one.as<hedwig_put_request>().id;
  return one.request->kind == HEDWIG_STORAGE_MOVE ? one.as<hedwig_move_request>().id
                                                  : one.as<hedwig_message_request>().id;
}

} // namespace

/// Turns the writes of one group into statements of the open transaction. Changes nothing of the store until apply().
/// Writes of one kind go together, whatever their order, unless two concern the same message.
class sql_store::group_writer {
public:
  group_writer(sql_store& s, connection& on) : store_{s}, on_{on} {}

  void add(sdk::pending_write& one) {
    switch (one.request->kind) {
    case HEDWIG_STORAGE_STAGE:
      return stage(one);
    case HEDWIG_STORAGE_APPEND:
      return append(one);
    case HEDWIG_STORAGE_DISCARD:
      return discard(static_cast<std::int64_t>(one.as<hedwig_append_request>().stage));
    default:
      break;
    }
    if (!touched_.insert(target_of(one)).second) {
      flush();
      touched_.insert(target_of(one));
    }
    if (one.request->kind == HEDWIG_STORAGE_PUT)
      return put(one);
    if (one.request->kind == HEDWIG_STORAGE_REMOVE && one.as<hedwig_message_request>().revision == 0)
      removals_.push_back(&one);
    else
      changes_.push_back(&one);
  }

  /// Everything but the COMMIT.
  void finish() {
    flush();
    ++store_.sequence_; // a number is used once, whatever becomes of the transaction
    store_.count_commit(change_, store_.sequence_);
  }

  /// The transaction is committed.
  void apply() {
    store_.committed_ = store_.sequence_;
    for (auto& [number, state] : stages_)
      if (state)
        store_.stages_.insert_or_assign(number, std::move(*state));
      else
        store_.stages_.erase(number);
  }

private:
  struct chunk_row {
    body_key key{};
    std::uint32_t number = 0;
    std::uint32_t sum = 0;
    std::size_t size = 0;
    std::vector<std::string_view> pieces{};
  };
  struct new_message {
    sdk::pending_write* one = nullptr;
    std::int64_t stage = 0;
    stage_state body{};
    std::uint64_t size = 0;
  };

  query& prepared(statement which, std::size_t rows = 1) {
    return on_.prepared(key_of(which, rows), [&] { return text_of(which, rows); });
  }
  statement_text text_of(statement which, std::size_t rows) const {
    auto& text = store_.text_;
    switch (which) {
    case statement::insert_messages:
      return text.insert_messages(rows);
    case statement::insert_chunks:
      return text.insert_chunks(rows);
    case statement::delete_messages:
      return text.delete_messages(rows);
    case statement::delete_bodies:
      return text.delete_bodies(rows);
    case statement::lock_messages:
      return text.lock_messages(rows);
    case statement::insert_stage:
      return text.insert_stage();
    case statement::delete_stage:
      return text.delete_stage();
    default:
      return text.move_message(which == statement::move_with_metadata);
    }
  }

  void flush() {
    flush_removals();
    flush_changes();
    flush_puts();
    flush_chunks();
    touched_.clear();
  }

  void count(std::int64_t state, std::int64_t messages, std::int64_t bytes) {
    if (state <= 0 || state >= HEDWIG_STATE_COUNT)
      return;
    change_[static_cast<std::size_t>(state)].messages += messages;
    change_[static_cast<std::size_t>(state)].bytes += bytes;
  }

  // ---- bodies ----

  /// Cuts `pending` and the slices into rows; a rest shorter than a chunk becomes a row only at the end of the body,
  /// else it is returned.
  std::string cut(const body_key& key, stage_state& body, const hedwig_slice* slices, std::size_t slice_count,
                  bool end) {
    auto& pending = kept_.emplace_back(std::move(body.pending));
    chunk_row row;
    auto finish_row = [&] {
      row.key = key;
      row.number = body.chunks++;
      row.sum = chunk_sum_start(key, row.number);
      for (auto piece : row.pieces)
        row.sum = sdk::crc32c(piece, row.sum);
      chunks_.push_back(std::exchange(row, {}));
    };
    auto take = [&](std::string_view text) {
      while (!text.empty()) {
        auto some = text.substr(0, chunk_size - row.size);
        row.pieces.push_back(some);
        row.size += some.size();
        text.remove_prefix(some.size());
        if (row.size == chunk_size)
          finish_row();
      }
    };
    take(pending);
    for (std::size_t i = 0; i < slice_count; ++i)
      take(sdk::view(slices[i]));
    std::string rest;
    if (end && row.size != 0)
      finish_row();
    else
      for (auto piece : row.pieces)
        rest += piece;
    return rest;
  }

  std::size_t rows_that_fit(std::size_t at) const {
    for (auto rows : row_counts) {
      std::size_t bytes = 0;
      for (std::size_t i = at; i < at + rows && i < chunks_.size(); ++i)
        bytes += chunks_[i].size;
      if (rows <= chunks_.size() - at && bytes <= statement_bytes_max)
        return rows;
    }
    return 1;
  }

  void flush_chunks() {
    for (std::size_t at = 0; at < chunks_.size();) {
      auto rows = rows_that_fit(at);
      auto& insert = prepared(statement::insert_chunks, rows);
      for (std::size_t i = 0; i < rows; ++i, ++at) {
        auto& row = chunks_[at];
        insert.set(4 * i, view(row.key))
            .set(4 * i + 1, row.number)
            .set(4 * i + 2, row.sum)
            .set(4 * i + 3, std::string_view{});
        for (auto piece : row.pieces)
          insert.append(4 * i + 3, piece);
      }
      insert.run();
    }
    chunks_.clear();
    kept_.clear();
  }

  // ---- stages ----

  /// The stage as this group leaves it so far; null when there is none.
  stage_state* find_stage(std::int64_t number) {
    if (auto at = stages_.find(number); at != stages_.end())
      return at->second ? &*at->second : nullptr;
    auto at = store_.stages_.find(number);
    if (at == store_.stages_.end())
      return nullptr;
    return &*stages_.emplace(number, at->second).first->second;
  }

  bool takes_mail(sdk::pending_write& one) const {
    if (!store_.no_space_ && !store_.engine_full_)
      return true;
    one.fail(HEDWIG_E_NO_SPACE,
             store_.no_space_ ? "the file system has less free than disk_reserve" : "the database has no space left");
    return false;
  }

  void stage(sdk::pending_write& one) {
    if (!takes_mail(one))
      return;
    if (store_.stages_.size() + stages_.size() >= stages_max)
      return one.fail(HEDWIG_E_BUSY, "too many bodies are under way");
    auto number = store_.next_stage_++;
    prepared(statement::insert_stage).set(0, number).set(1, store_.host_number_).run();
    stages_[number] = stage_state{};
    one.stage = static_cast<std::uint64_t>(number);
  }

  void append(sdk::pending_write& one) {
    auto& request = one.as<hedwig_append_request>();
    auto number = static_cast<std::int64_t>(request.stage);
    auto* body = find_stage(number);
    if (body == nullptr)
      return one.fail(HEDWIG_E_NOT_FOUND, "no such stage");
    if (!takes_mail(one))
      return;
    body->pending = cut(make_body_key({}, number), *body, request.slices, request.slice_count, false);
    body->size += one.bytes;
    flush_chunks();
  }

  void discard(std::int64_t number) {
    auto* body = find_stage(number);
    if (body == nullptr)
      return;
    if (body->chunks != 0)
      prepared(statement::delete_bodies).set(0, view(make_body_key({}, number))).run();
    prepared(statement::delete_stage).set(0, number).run();
    stages_[number].reset();
  }

  // ---- PUT ----

  void put(sdk::pending_write& one) {
    auto& request = one.as<hedwig_put_request>();
    auto number = static_cast<std::int64_t>(request.stage);
    auto* staged = number != 0 ? find_stage(number) : nullptr;
    if (number != 0 && staged == nullptr)
      return one.fail(HEDWIG_E_NOT_FOUND, "the staged body is not there");
    if (!takes_mail(one))
      return number != 0 ? discard(number) : void();
    auto& fresh = puts_.emplace_back();
    fresh.one = &one;
    fresh.stage = number;
    if (staged != nullptr) {
      fresh.body = std::move(*staged);
      stages_[number].reset();
    }
    fresh.size = fresh.body.size;
    for (std::size_t i = 0; i < request.slice_count; ++i)
      fresh.size += request.slices[i].size;
  }

  void flush_puts() {
    in_row_counts(puts_.size(), [this](std::size_t at, std::size_t rows) { insert_messages(at, rows); });
    puts_.clear();
  }

  std::int64_t lease_column(hedwig_time_ns lease_until) const {
    auto& host = store_.the_host();
    return store_.database_time(lease_until + host.steady() - host.wall());
  }
  bool leases_in_database(hedwig_time_ns lease_until) const noexcept {
    return lease_until != 0 && store_.settings_.which == engine::postgresql;
  }

  void insert_messages(std::size_t at, std::size_t rows) {
    auto& insert = prepared(statement::insert_messages, rows);
    for (std::size_t i = 0; i < rows; ++i) {
      auto& fresh = puts_[at + i];
      auto& request = fresh.one->as<hedwig_put_request>();
      auto metadata = sdk::view(request.metadata);
      auto leased = leases_in_database(request.lease_until);
      auto column = 9 * i;
      insert.set(column, view(request.id)).set(column + 1, request.state).set(column + 2, request.due);
      insert.set(column + 3, static_cast<std::int64_t>(fresh.size)).set(column + 4, fresh.stage);
      insert.set(column + 5, leased ? store_.incarnation_ : 0);
      insert.set(column + 6, leased ? lease_column(request.lease_until) : 0);
      insert.set(column + 7, metadata_sum(request.id, fresh.stage, fresh.size, metadata)).set(column + 8, metadata);
    }
    auto made = insert.run();
    std::unordered_set<hedwig_msg_id, sdk::id_hash, sdk::id_equal> ids;
    for (std::size_t row = 0; row < made; ++row)
      ids.insert(id_of(insert.bytes(row, 0)));
    for (std::size_t i = 0; i < rows; ++i)
      finish_put(puts_[at + i], ids.contains(puts_[at + i].one->as<hedwig_put_request>().id));
  }

  void finish_put(new_message& fresh, bool made) {
    auto& request = fresh.one->as<hedwig_put_request>();
    auto key = make_body_key(request.id, fresh.stage);
    if (fresh.stage != 0 && prepared(statement::delete_stage).set(0, fresh.stage).run() != 1)
      throw sql_error{trouble::other, "the staged body is not in the database any more"};
    if (!made) {
      if (fresh.body.chunks != 0)
        prepared(statement::delete_bodies).set(0, view(key)).run();
      return fresh.one->fail(HEDWIG_E_EXISTS, "the message is stored");
    }
    cut(key, fresh.body, request.slices, request.slice_count, true);
    count(request.state, 1, static_cast<std::int64_t>(fresh.size));
    fresh.one->hint = make_hint({fresh.size, fresh.stage});
    fresh.one->revision = 1;
  }

  // ---- REMOVE ----

  void flush_removals() {
    in_row_counts(removals_.size(), [this](std::size_t at, std::size_t rows) {
      std::vector<hedwig_msg_id> ids;
      for (std::size_t i = 0; i < rows; ++i)
        ids.push_back(removals_[at + i]->as<hedwig_message_request>().id);
      remove(ids);
    });
    removals_.clear();
  }

  /// As many as one of row_counts.
  void remove(const std::vector<hedwig_msg_id>& ids) {
    auto& remove = prepared(statement::delete_messages, ids.size());
    for (std::size_t i = 0; i < ids.size(); ++i)
      remove.set(i, view(ids[i]));
    std::vector<body_key> keys;
    for (std::size_t row = 0, found = remove.run(); row < found; ++row) {
      count(remove.integer(row, 1), -1, -remove.integer(row, 2));
      if (remove.integer(row, 2) != 0)
        keys.push_back(make_body_key(id_of(remove.bytes(row, 0)), remove.integer(row, 3)));
    }
    in_row_counts(keys.size(), [&](std::size_t at, std::size_t rows) {
      auto& bodies = prepared(statement::delete_bodies, rows);
      for (std::size_t i = 0; i < rows; ++i)
        bodies.set(i, view(keys[at + i]));
      bodies.run();
    });
  }

  // ---- MOVE, and REMOVE of a revision ----

  struct found_message {
    std::int64_t state = 0;
    std::uint64_t revision = 0;
    hint_content body{};
    bool leased_elsewhere = false;
  };

  void flush_changes() {
    in_row_counts(changes_.size(), [this](std::size_t at, std::size_t rows) {
      auto found = lock_rows(at, rows);
      for (std::size_t i = 0; i < rows; ++i) {
        auto& one = *changes_[at + i];
        auto there = found.find(target_of(one));
        change(one, there == found.end() ? nullptr : &there->second);
      }
    });
    changes_.clear();
  }

  using found_messages = std::unordered_map<hedwig_msg_id, found_message, sdk::id_hash, sdk::id_equal>;
  found_messages lock_rows(std::size_t at, std::size_t rows) {
    auto& lock = prepared(statement::lock_messages, rows);
    for (std::size_t i = 0; i < rows; ++i)
      lock.set(i, view(target_of(*changes_[at + i])));
    found_messages found;
    for (std::size_t row = 0, count = lock.run(); row < count; ++row)
      found[id_of(lock.bytes(row, 0))] = {lock.integer(row, 1),
                                          static_cast<std::uint64_t>(lock.integer(row, 2)),
                                          {static_cast<std::uint64_t>(lock.integer(row, 3)), lock.integer(row, 4)},
                                          lock.integer(row, 5) != 0};
    return found;
  }

  void change(sdk::pending_write& one, const found_message* found) {
    bool removes = one.request->kind == HEDWIG_STORAGE_REMOVE;
    if (found == nullptr)
      return removes ? void() : one.fail(HEDWIG_E_NOT_FOUND, "no such message");
    auto revision = removes ? one.as<hedwig_message_request>().revision : one.as<hedwig_move_request>().revision;
    if (found->revision != revision)
      return one.fail(HEDWIG_E_CONFLICT, "the message has revision " + std::to_string(found->revision));
    if (found->leased_elsewhere)
      return one.fail(HEDWIG_E_CONFLICT, "another host has the message");
    removes ? remove({target_of(one)}) : move(one, *found);
  }

  void move(sdk::pending_write& one, const found_message& found) {
    auto& request = one.as<hedwig_move_request>();
    bool with_metadata = (request.flags & HEDWIG_MOVE_METADATA) != 0;
    auto leased = leases_in_database(request.lease_until);
    auto& update = prepared(with_metadata ? statement::move_with_metadata : statement::move_message);
    update.set(0, request.state).set(1, request.due).set(2, leased ? store_.incarnation_ : 0);
    update.set(3, leased ? lease_column(request.lease_until) : 0);
    if (with_metadata) {
      auto metadata = sdk::view(request.metadata);
      update.set(4, metadata_sum(request.id, found.body.stage, found.body.body_size, metadata)).set(5, metadata);
    }
    update.set(with_metadata ? 6 : 4, view(request.id));
    if (update.run() != 1)
      throw sql_error{trouble::retry, "a message changed while it was locked"};
    auto bytes = static_cast<std::int64_t>(found.body.body_size);
    count(found.state, -1, -bytes);
    count(request.state, 1, bytes);
    one.hint = make_hint(found.body);
    one.revision = found.revision + 1;
  }

  sql_store& store_;
  connection& on_;
  counters change_{};
  std::unordered_map<std::int64_t, std::optional<stage_state>> stages_; // as they will be; none: gone
  std::unordered_set<hedwig_msg_id, sdk::id_hash, sdk::id_equal> touched_;
  std::vector<sdk::pending_write*> removals_;
  std::vector<sdk::pending_write*> changes_;
  std::vector<new_message> puts_;
  std::vector<chunk_row> chunks_;
  std::deque<std::string> kept_; // what chunks_ point into
};

void sql_store::commit_once(std::span<sdk::pending_write> group) {
  writer_->begin();
  group_writer writing{*this, *writer_};
  for (auto& one : group)
    writing.add(one);
  writing.finish();
  auto sequence = sequence_;
  try {
    writer_->commit();
  } catch (const sql_error& e) {
    if (e.kind != trouble::lost)
      throw;
    note(e);
    bool known = false, committed = false;
    try {
      committed = wait_for_outcome(sequence);
      known = true;
    } catch (const sql_error&) {
    }
    if (!known) {
      remember_doubt(group, sequence);
      throw sdk::failure{HEDWIG_E_TIMEOUT,
                         std::string{"the database went away during a commit, which may have succeeded: "} + e.what()};
    }
    if (!committed)
      throw sql_error{trouble::retry, e.what()};
  }
  writing.apply();
}

/// Throws sql_error when the server did not come back in time.
bool sql_store::wait_for_outcome(std::int64_t sequence) {
  for (auto left = std::chrono::nanoseconds{settings_.commit_wait};; left -= outcome_pause) {
    try {
      next_try_ = 0;
      connect_again(the_host().steady());
      return was_committed(sequence);
    } catch (const sql_error& e) {
      note(e);
      if (left <= outcome_pause || e.kind == trouble::held)
        throw;
      std::this_thread::sleep_for(outcome_pause); // the writer's own thread, with nothing else to do
    }
  }
}

void sql_store::remember_doubt(std::span<sdk::pending_write> group, std::int64_t sequence) {
  doubt_.emplace(doubt{sequence});
  for (auto& one : group)
    if (one.request->kind == HEDWIG_STORAGE_PUT && one.status == HEDWIG_OK)
      doubt_->puts.push_back(target_of(one));
}

void sql_store::settle_doubt() {
  if (!doubt_)
    return;
  auto& puts = doubt_->puts;
  if (was_committed(doubt_->sequence) && !puts.empty()) {
    std::vector<hedwig_message_request> requests;
    std::vector<sdk::pending_write> removals;
    requests.reserve(puts.size());
    for (auto& id : puts) {
      requests.push_back({sizeof(hedwig_message_request), HEDWIG_STORAGE_REMOVE, nullptr, id, {}, 0, 0, 0, 0, 0});
      removals.push_back({reinterpret_cast<const hedwig_storage_request*>(&requests.back())});
    }
    writer_->begin();
    group_writer writing{*this, *writer_};
    for (auto& one : removals)
      writing.add(one);
    writing.finish();
    writer_->commit();
    writing.apply();
    the_host().log(HEDWIG_LOG_WARN, "a commit that was given up had succeeded; its new messages are removed again",
                   {{"count", std::to_string(removals.size())}});
  }
  doubt_.reset();
}

void sql_store::commit(std::span<sdk::pending_write> group) {
  if (settings_.read_only)
    throw sdk::failure{HEDWIG_E_UNSUPPORTED, "the spool is open for reading only", settings_.path};
  for (int attempt = 1;; ++attempt) {
    for (auto& one : group)
      one.status = HEDWIG_OK;
    try {
      if (down_)
        connect_again(the_host().steady());
      return commit_once(group);
    } catch (const sql_error& e) {
      writer_->rollback();
      note(e);
      bool again =
          e.kind == trouble::retry
              ? attempt < attempts_max
              : (e.kind == trouble::lost || e.kind == trouble::no_space || e.kind == trouble::io) && attempt == 1;
      if (!again)
        throw failure_of(e, "the commit failed");
    } catch (...) {
      writer_->rollback();
      throw;
    }
  }
}

} // namespace hedwig::storage_sql
