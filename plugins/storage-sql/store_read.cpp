// SPDX-License-Identifier: Apache-2.0
// READ, STAT, LIST, CLAIM and STATS: on reader threads, each with a connection out of the pool.
#include "plugins/storage-sql/store.hpp"

#include <hedwig/storage_crc.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>

namespace hedwig::storage_sql {

namespace {

constexpr auto no_bound = std::numeric_limits<hedwig_time_ns>::max();
/// Rows of the due index fetched at once, of each state.
constexpr std::size_t index_rows = 512;
/// Entries fetched, or claimed, with one statement.
constexpr std::size_t batch_rows = 64;

std::string hex(const hedwig_msg_id& id) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (auto byte : id.bytes) {
    out += digits[byte >> 4];
    out += digits[byte & 15];
  }
  return out;
}

constexpr std::size_t cursor_size = 24;

std::string cursor_of(const position& at) {
  std::string cursor;
  for (int shift = 56; shift >= 0; shift -= 8)
    cursor += static_cast<char>(static_cast<std::uint64_t>(at.due) >> shift);
  return cursor += view(at.id);
}

position position_of(std::string_view cursor) {
  position at;
  std::uint64_t due = 0;
  for (std::size_t i = 0; i < 8; ++i)
    due = (due << 8) | static_cast<std::uint8_t>(cursor[i]);
  at.due = static_cast<hedwig_time_ns>(due);
  at.id = id_of(cursor.substr(8));
  return at;
}

hedwig_time_ns highest_due(const hedwig_list_request& request) noexcept {
  return request.due_before == 0 ? no_bound : request.due_before - 1;
}

} // namespace

/// Runs `work(connection)`; once more when the connection turns out to be gone.
template <class Work>
auto sql_store::reading(const char* doing, Work&& work) {
  std::unique_ptr<connection> on;
  {
    std::lock_guard guard{readers_mutex_};
    if (!readers_.empty()) {
      on = std::move(readers_.back());
      readers_.pop_back();
    }
  }
  auto give_back = [&] {
    std::lock_guard guard{readers_mutex_};
    if (on)
      readers_.push_back(std::move(on));
  };
  for (int attempt = 1;; ++attempt) {
    try {
      refresh_reader(on);
      auto result = work(*on);
      give_back();
      return result;
    } catch (const sql_error& e) {
      if (on) {
        on->forget();
        on->broken = on->broken || e.kind == trouble::lost || e.kind == trouble::io;
      }
      if (e.kind == trouble::lost && attempt == 1)
        continue;
      give_back();
      throw failure_of(e, doing);
    } catch (...) {
      if (on)
        on->forget();
      give_back();
      throw;
    }
  }
}

// ---- entries

void sql_store::note_damage(const hedwig_msg_id& id, const char* what) {
  ++damaged_;
  the_host().log(HEDWIG_LOG_ERROR, "a stored message failed its checksum", {{"id", hex(id)}, {"part", what}});
}

/// From a row of entry_columns(). One that is damaged is left out, unless the request wants it.
std::optional<sdk::stored_entry> sql_store::entry_of(const query& from, std::size_t row, std::uint32_t flags) {
  sdk::stored_entry entry;
  entry.id = id_of(from.bytes(row, 0));
  entry.state = static_cast<std::uint32_t>(from.integer(row, 1));
  entry.due = from.integer(row, 2);
  entry.revision = static_cast<std::uint64_t>(from.integer(row, 3));
  entry.body_size = static_cast<std::uint64_t>(from.integer(row, 4));
  auto stage = from.integer(row, 5);
  entry.hint = make_hint({entry.body_size, stage});
  entry.metadata = from.bytes(row, 7);
  if (from.integer(row, 8) != 0)
    entry.flags |= HEDWIG_ENTRY_CLAIMED;
  if (metadata_sum(entry.id, stage, entry.body_size, entry.metadata) !=
      static_cast<std::uint64_t>(from.integer(row, 6))) {
    note_damage(entry.id, "metadata");
    if ((flags & HEDWIG_LIST_DAMAGED) == 0)
      return std::nullopt;
    entry.flags |= HEDWIG_ENTRY_DAMAGED;
    entry.metadata = sdk::damaged_metadata("the stored metadata failed their checksum", entry.metadata);
  } else if ((flags & HEDWIG_LIST_METADATA) == 0) {
    entry.metadata.clear();
  }
  return entry;
}

sdk::stored_entry sql_store::stat(const hedwig_message_request& request) {
  return reading("reading metadata", [&](connection& on) {
    auto& fetch = on.prepared(key_of(statement::fetch_messages), [this] { return text_.fetch_messages(1); });
    if (fetch.set(0, view(request.id)).run() == 0)
      throw sdk::failure{HEDWIG_E_NOT_FOUND, "no such message"};
    auto found = entry_of(fetch, 0, HEDWIG_LIST_METADATA);
    if (!found)
      throw sdk::failure{HEDWIG_E_CORRUPT, "the stored metadata failed its checksum"};
    return std::move(*found);
  });
}

// ---- bodies

std::optional<hint_content> sql_store::locate(connection& on, const hedwig_msg_id& id) {
  auto& find = on.prepared(key_of(statement::locate), [this] { return text_.locate(); });
  if (find.set(0, view(id)).run() == 0)
    return std::nullopt;
  return hint_content{static_cast<std::uint64_t>(find.integer(0, 1)), find.integer(0, 0)};
}

hedwig_slice sql_store::read_chunk(const query& from, std::size_t row, const body_key& key, std::uint32_t number,
                                   std::size_t size) {
  auto* host = the_host().raw();
  std::uint8_t* data = nullptr;
  bool sound = from.integer(row, 0) == number && from.size(row, 2) == size;
  auto* raw = sound ? host->buf_alloc(host, size, &data) : nullptr;
  if (sound && raw == nullptr)
    throw sdk::failure{HEDWIG_E_BUSY, "the host's buffer memory is spent"};
  if (sound) {
    auto* text = reinterpret_cast<char*>(data);
    from.copy(row, 2, text);
    sound = sdk::crc32c({text, size}, chunk_sum_start(key, number)) == static_cast<std::uint64_t>(from.integer(row, 1));
  }
  if (!sound) {
    if (raw != nullptr)
      host->buf_release(host, raw);
    throw sdk::failure{HEDWIG_E_CORRUPT, "the stored body failed its checksum"};
  }
  return {raw, data, size};
}

sdk::read_slices sql_store::read(const hedwig_message_request& request) {
  return reading("reading a body", [&](connection& on) {
    sdk::read_slices got{the_host()};
    auto place = read_hint(request.hint);
    if (!place)
      place = locate(on, request.id);
    if (!place)
      throw sdk::failure{HEDWIG_E_NOT_FOUND, "no such message"};
    got.body_size = place->body_size;
    if (request.offset >= place->body_size)
      return got;
    auto wanted = request.length == 0 ? read_max : std::min(request.length, read_max);
    auto end = std::min(place->body_size, request.offset + wanted);
    auto first = request.offset / chunk_size, last = (end - 1) / chunk_size;
    auto key = make_body_key(request.id, place->stage);
    auto& chunks = on.prepared(key_of(statement::read_chunks), [this] { return text_.read_chunks(); });
    chunks.set(0, view(key)).set(1, static_cast<std::int64_t>(first)).set(2, static_cast<std::int64_t>(last)).run();
    try {
      for (auto number = first; number <= last; ++number) {
        if (number - first >= chunks.rows())
          throw sdk::failure{HEDWIG_E_CORRUPT, "a part of the stored body is missing"};
        auto begins = number * chunk_size;
        auto slice = read_chunk(chunks, number - first, key, static_cast<std::uint32_t>(number),
                                std::min<std::uint64_t>(chunk_size, place->body_size - begins));
        auto from = std::max(request.offset, begins) - begins;
        slice.data += from;
        slice.size = std::min(end - begins, std::uint64_t{slice.size}) - from;
        got.add(slice);
      }
    } catch (const sdk::failure& e) {
      // It may have been removed since the hint was given, or while we read.
      if (e.status() == HEDWIG_E_CORRUPT && !locate(on, request.id))
        throw sdk::failure{HEDWIG_E_NOT_FOUND, "no such message"};
      if (e.status() == HEDWIG_E_CORRUPT)
        note_damage(request.id, "body");
      throw;
    }
    return got;
  });
}

// ---- lists

/// Walks the due indexes of several states as one, in order of (due, id), page by page.
class sql_store::due_walk {
public:
  struct row {
    position at{};
    std::size_t metadata = 0;
  };

  due_walk(sql_store& store, connection& on, const hedwig_list_request& request, const claim_terms* claim,
           const position& after)
    : store_{store}, on_{on}, claim_{claim}, due_max_{highest_due(request)}, rows_{std::min<std::size_t>(
                                                                                 request.limit + std::size_t{1},
                                                                                 index_rows)} {
    for (std::uint32_t state = 1; state < HEDWIG_STATE_COUNT; ++state)
      if ((request.states & HEDWIG_STATE_MASK(state)) != 0)
        parts_.push_back({state, after});
    for (auto& one : parts_)
      fill(one);
    find_lowest();
  }

  bool valid() const noexcept { return lowest_ != nullptr; }
  const row& here() const noexcept { return lowest_->page[lowest_->at]; }
  void next() {
    lowest_->last = here().at;
    if (++lowest_->at == lowest_->page.size() && !lowest_->ended)
      fill(*lowest_);
    find_lowest();
  }

private:
  struct part {
    std::uint32_t state = 0;
    position last{};
    std::vector<row> page{};
    std::size_t at = 0;
    bool ended = false;
  };

  void fill(part& one) {
    bool claims = claim_ != nullptr && store_.settings_.which == engine::postgresql;
    auto& page = on_.prepared(key_of(claims ? statement::page_of_claimable : statement::page_of_due),
                              [&] { return store_.text_.page_of_due(claims); });
    page.set(0, one.state).set(1, one.last.due).set(2, view(one.last.id)).set(3, due_max_);
    if (claims)
      page.set(4, claim_->own_clock).set(5, claim_->voids_leases ? 1 : 0);
    auto found = page.set(claims ? 6 : 4, static_cast<std::int64_t>(rows_)).run();
    one.page.clear();
    one.at = 0;
    one.ended = found < rows_;
    for (std::size_t i = 0; i < found; ++i)
      one.page.push_back({{page.integer(i, 1), id_of(page.bytes(i, 0))}, static_cast<std::size_t>(page.integer(i, 2))});
  }

  void find_lowest() {
    lowest_ = nullptr;
    for (auto& one : parts_)
      if (one.at < one.page.size() && (lowest_ == nullptr || one.page[one.at].at < lowest_->page[lowest_->at].at))
        lowest_ = &one;
  }

  sql_store& store_;
  connection& on_;
  const claim_terms* claim_;
  hedwig_time_ns due_max_;
  std::size_t rows_;
  std::vector<part> parts_;
  part* lowest_ = nullptr;
};

/// One LIST or CLAIM under way.
struct sql_store::listing {
  const hedwig_list_request& request;
  const claim_terms* claim = nullptr;
  sdk::entry_page page{};
  std::vector<position> batch{}; ///< walked, and for CLAIM leased in memory
  std::size_t bytes = 0;

  [[nodiscard]] bool full(std::size_t more) const noexcept {
    return page.entries.size() + more >= std::min<std::size_t>(request.limit, page_entries_max) ||
           bytes >= page_bytes_max;
  }
};

/// Turns what was walked into entries. What is gone or has moved meanwhile is not among them.
void sql_store::add_batch(connection& on, listing& to) {
  auto batch = std::exchange(to.batch, {});
  in_row_counts(batch.size(), [&](std::size_t at, std::size_t rows) {
    std::span<const position> some{batch.data() + at, rows};
    try {
      add_rows(on, to, some);
    } catch (...) {
      if (to.claim != nullptr)
        for (auto& one : std::span{batch}.subspan(at))
          leases().release(one.id, to.claim->times.until);
      throw;
    }
  });
}

void sql_store::add_rows(connection& on, listing& to, std::span<const position> some) {
  bool in_database = to.claim != nullptr && settings_.which == engine::postgresql;
  auto& rows = in_database ? claim_rows(on, to, some) : fetch_rows(on, some);
  std::unordered_map<hedwig_msg_id, std::size_t, sdk::id_hash, sdk::id_equal> found;
  for (std::size_t row = 0; row < rows.rows(); ++row)
    found[id_of(rows.bytes(row, 0))] = row;
  for (auto& one : some) {
    auto there = found.find(one.id);
    bool fits = there != found.end() &&
                (in_database || ((to.request.states & HEDWIG_STATE_MASK(rows.integer(there->second, 1))) != 0 &&
                                 rows.integer(there->second, 2) == one.due));
    if (!fits && to.claim != nullptr)
      leases().release(one.id, to.claim->times.until);
    if (!fits)
      continue;
    // A claim of a damaged one stays, so that it is not looked at again and again.
    if (auto entry = entry_of(rows, there->second, to.request.flags))
      to.page.entries.push_back(std::move(*entry));
  }
}

query& sql_store::fetch_rows(connection& on, std::span<const position> some) {
  auto& fetch =
      on.prepared(key_of(statement::fetch_messages, some.size()), [&] { return text_.fetch_messages(some.size()); });
  for (std::size_t i = 0; i < some.size(); ++i)
    fetch.set(i, view(some[i].id));
  fetch.run();
  return fetch;
}

query& sql_store::claim_rows(connection& on, const listing& of, std::span<const position> some) {
  auto states = of.request.states;
  auto& claim = on.prepared(key_of(statement::claim_messages, some.size(), states & 0x3E),
                            [&] { return text_.claim_messages(states, some.size()); });
  claim.set(0, database_time(of.claim->times.until)).set(1, highest_due(of.request));
  claim.set(2, of.claim->own_clock).set(3, of.claim->voids_leases ? 1 : 0);
  for (std::size_t i = 0; i < some.size(); ++i)
    claim.set(4 + i, view(some[i].id));
  claim.run();
  return claim;
}

sdk::entry_page sql_store::list(const hedwig_list_request& request, const claim_times* claim) {
  if (claim == nullptr && (request.flags & HEDWIG_LIST_BY_RECEIPT) != 0)
    return list_by_receipt(request);
  auto cursor = sdk::view(request.cursor);
  if (!cursor.empty() && cursor.size() != cursor_size)
    throw sdk::failure{HEDWIG_E_INVALID, "not a cursor of this list"};
  auto after = cursor.empty() ? position{} : position_of(cursor);
  if (claim != nullptr && settings_.read_only)
    throw sdk::failure{HEDWIG_E_UNSUPPORTED, "the spool is open for reading only", settings_.path};
  if (claim == nullptr)
    return reading("listing", [&](connection& on) { return walk(on, request, nullptr, after); });
  // A claim that failed half-way may have left leases in the database that nobody knows: look at our own, too.
  claim_terms terms{*claim, database_time(claim->now), false};
  auto connected = connected_since_.load();
  terms.voids_leases = claim->now - connected >= settings_.host_timeout;
  bool strays = strays_.exchange(false);
  if (strays)
    terms.own_clock = no_bound;
  try {
    auto page = reading("claiming", [&](connection& on) { return walk(on, request, &terms, after); });
    if (strays && !(cursor.empty() && page.cursor.empty()))
      strays_ = true;
    return page;
  } catch (...) {
    strays_ = true;
    throw;
  }
}

sdk::entry_page sql_store::walk(connection& on, const hedwig_list_request& request, const claim_terms* claim,
                                const position& after) {
  listing to{request, claim};
  position last = after;
  try {
    due_walk at{*this, on, request, claim, after};
    for (std::size_t walked = 0; at.valid(); ++walked, at.next()) {
      if (to.full(to.batch.size()) || to.batch.size() >= batch_rows || walked >= walk_max)
        add_batch(on, to); // some of the batch may have gone elsewhere, so that there is room again
      if (to.full(0) || walked >= walk_max) {
        to.page.cursor = cursor_of(last);
        return std::move(to.page);
      }
      auto& here = at.here();
      last = here.at;
      if (claim != nullptr && !leases().try_claim(here.at.id, claim->times.now, claim->times.until))
        continue;
      to.batch.push_back(here.at);
      to.bytes += here.metadata;
    }
    add_batch(on, to);
  } catch (...) {
    if (claim == nullptr || to.page.entries.empty()) {
      if (claim != nullptr)
        for (auto& one : to.batch)
          leases().release(one.id, claim->times.until);
      throw;
    }
    strays_ = true; // what is leased already must reach the host
    for (auto& one : to.batch)
      leases().release(one.id, claim->times.until);
    to.page.cursor.clear();
    on.broken = true;
  }
  return std::move(to.page);
}

sdk::entry_page sql_store::list_by_receipt(const hedwig_list_request& request) {
  auto cursor = sdk::view(request.cursor);
  if (!cursor.empty() && cursor.size() != sizeof(hedwig_msg_id))
    throw sdk::failure{HEDWIG_E_INVALID, "not a cursor of this list"};
  return reading("listing", [&](connection& on) {
    listing to{request};
    auto last = cursor.empty() ? hedwig_msg_id{} : id_of(cursor);
    for (std::size_t walked = 0;;) {
      auto& ids = on.prepared(key_of(statement::page_of_ids), [this] { return text_.page_of_ids(); });
      auto found = ids.set(0, view(last)).set(1, index_rows).run();
      for (std::size_t row = 0; row < found; ++row, ++walked) {
        if (to.full(to.batch.size()))
          add_batch(on, to);
        if (to.full(0) || walked >= walk_max) {
          to.page.cursor = view(last);
          add_batch(on, to);
          return std::move(to.page);
        }
        last = id_of(ids.bytes(row, 0));
        auto due = ids.integer(row, 2);
        if ((request.states & HEDWIG_STATE_MASK(ids.integer(row, 1))) == 0 || due > highest_due(request))
          continue;
        to.batch.push_back({due, last});
        to.bytes += static_cast<std::size_t>(ids.integer(row, 3));
      }
      add_batch(on, to);
      if (found < index_rows)
        return std::move(to.page);
    }
  });
}

sdk::state_stats sql_store::stats() {
  return reading("counting", [&](connection& on) {
    sdk::state_stats result;
    auto& sums = on.prepared(key_of(statement::counters), [this] { return text_.counters(); });
    sums.run();
    for (std::uint32_t state = 1; state < HEDWIG_STATE_COUNT; ++state) {
      auto& one = result.states[state];
      auto column = std::size_t{2} * (state - 1);
      one.messages = static_cast<std::uint64_t>(std::max<std::int64_t>(sums.integer(0, column), 0));
      one.bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(sums.integer(0, column + 1), 0));
      auto& oldest = on.prepared(key_of(statement::oldest_due), [this] { return text_.oldest_due(); });
      if (one.messages != 0 && oldest.set(0, state).run() != 0)
        one.oldest_due = oldest.integer(0, 0);
    }
    result.disk_free = disk_free_;
    result.damaged = damaged_;
    return result;
  });
}

} // namespace hedwig::storage_sql
