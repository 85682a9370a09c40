// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "plugins/storage-sql/connection.hpp"

#include <hedwig/storage.h>

#include <span>
#include <string>

namespace hedwig::storage_sql {

/// The version in hedwig_format that this plugin reads and writes.
inline constexpr std::int64_t format_version = 1;

/// What makes the tables, in order.
std::span<const std::string_view> table_statements(engine which);

/// The names under which a connection keeps its statements.
enum class statement : std::uint64_t {
  insert_messages,
  insert_chunks,
  delete_messages,
  delete_bodies,
  lock_messages,
  move_message,
  move_with_metadata,
  insert_stage,
  delete_stage,
  count_commit,
  page_of_due,
  page_of_claimable,
  fetch_messages,
  claim_messages,
  page_of_ids,
  locate,
  read_chunks,
  counters,
  oldest_due
};
constexpr std::uint64_t key_of(statement which, std::size_t rows = 1, std::uint32_t states = 0) noexcept {
  return static_cast<std::uint64_t>(which) << 48 | static_cast<std::uint64_t>(states) << 32 | rows;
}

/// Statements over several rows come in these sizes, so that few of them serve every group.
inline constexpr std::size_t row_counts[] = {64, 16, 4, 1};

/// Calls `work(first, rows)` until `count` rows are done.
template <class Work>
void in_row_counts(std::size_t count, Work&& work) {
  for (std::size_t at = 0; at < count;) {
    std::size_t rows = 1;
    for (auto size : row_counts)
      if (size <= count - at) {
        rows = size;
        break;
      }
    work(at, rows);
    at += rows;
  }
}

/// Every statement the store runs, in the spelling of one engine. `incarnation` is what messages of this host's leases
/// name for their owner; with SQLite there are no owners.
class statements {
public:
  statements() = default;
  statements(engine which, std::int64_t incarnation) : engine_{which}, incarnation_{std::to_string(incarnation)} {}

  /// (id state due body_size stage owner lease_until sum metadata) a row → id of each that was new.
  [[nodiscard]] statement_text insert_messages(std::size_t rows) const;
  /// (body chunk sum content) a row.
  [[nodiscard]] statement_text insert_chunks(std::size_t rows) const;
  /// ids → id state body_size stage of each that was there.
  [[nodiscard]] statement_text delete_messages(std::size_t rows) const;
  /// body keys.
  [[nodiscard]] statement_text delete_bodies(std::size_t rows) const;
  /// ids → id state revision body_size stage, and 1 where another host's lease runs; locked until the commit.
  [[nodiscard]] statement_text lock_messages(std::size_t rows) const;
  /// state due owner lease_until [sum metadata] id.
  [[nodiscard]] statement_text move_message(bool with_metadata) const;
  /// number host.
  [[nodiscard]] statement_text insert_stage() const;
  /// number.
  [[nodiscard]] statement_text delete_stage() const;
  /// sequence, host_timeout (ns), (messages bytes) of states 1 to 5 as differences, number.
  [[nodiscard]] statement_text count_commit() const;

  /// One page of the due index of a state: state due id due_max rows; with `claimable` also this host's clock, and 1 if
  /// leases of hosts that are not heard from are void. → id due, length of the metadata.
  [[nodiscard]] statement_text page_of_due(bool claimable) const;
  /// Ids → id state due revision body_size stage sum metadata, and 1 where another host's lease runs.
  [[nodiscard]] statement_text fetch_messages(std::size_t rows) const;
  /// lease_until due_max own_clock void_leases, ids → as fetch_messages, of those that are leased now.
  [[nodiscard]] statement_text claim_messages(std::uint32_t states, std::size_t rows) const;
  /// id rows → id state due, length of the metadata.
  [[nodiscard]] statement_text page_of_ids() const;
  /// id → stage body_size.
  [[nodiscard]] statement_text locate() const;
  /// body first last → chunk sum content.
  [[nodiscard]] statement_text read_chunks() const;
  /// → messages and bytes of states 1 to 5.
  [[nodiscard]] statement_text counters() const;
  /// state → due.
  [[nodiscard]] statement_text oldest_due() const;

private:
  [[nodiscard]] std::string now() const;
  [[nodiscard]] std::string foreign_lease() const;
  [[nodiscard]] std::string claimable(std::size_t& next) const;
  [[nodiscard]] std::string entry_columns() const;

  engine engine_ = engine::sqlite;
  std::string incarnation_ = "0";
};

} // namespace hedwig::storage_sql
