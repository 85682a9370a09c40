// SPDX-License-Identifier: Apache-2.0
#include "plugins/storage-sql/statements.hpp"

#include <array>

namespace hedwig::storage_sql {

namespace {

// WARNING: the tables, format version 1. Times are nanoseconds since 1970; sums are CRC-32C, see records.hpp.
//   hedwig_format  version, and the next incarnation to give to a host that starts
//   host           a row for each host that ever used the database: its counters, which sum up to the totals, what it
//                  committed last, and when it counts as gone
//   message        owner 0 or the incarnation of the host that leases it until lease_until
//   body           chunks of 256 KiB under the message's id, or 0xFE, seven zeros and the stage's number
//   stage          bodies that no message has yet
constexpr std::array<std::string_view, 6> sqlite_tables{
    "CREATE TABLE hedwig_format (version INTEGER NOT NULL, next_incarnation INTEGER NOT NULL)",
    "CREATE TABLE host (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, incarnation INTEGER NOT NULL, "
    "alive_until INTEGER NOT NULL, sequence INTEGER NOT NULL, "
    "messages_1 INTEGER NOT NULL, bytes_1 INTEGER NOT NULL, messages_2 INTEGER NOT NULL, bytes_2 INTEGER NOT NULL, "
    "messages_3 INTEGER NOT NULL, bytes_3 INTEGER NOT NULL, messages_4 INTEGER NOT NULL, bytes_4 INTEGER NOT NULL, "
    "messages_5 INTEGER NOT NULL, bytes_5 INTEGER NOT NULL)",
    "CREATE TABLE message (id BLOB PRIMARY KEY, state INTEGER NOT NULL, due INTEGER NOT NULL, "
    "revision INTEGER NOT NULL, body_size INTEGER NOT NULL, stage INTEGER NOT NULL, owner INTEGER NOT NULL, "
    "lease_until INTEGER NOT NULL, sum INTEGER NOT NULL, metadata BLOB)",
    "CREATE INDEX message_due ON message (state, due, id)",
    "CREATE TABLE body (body BLOB NOT NULL, chunk INTEGER NOT NULL, sum INTEGER NOT NULL, content BLOB NOT NULL, "
    "PRIMARY KEY (body, chunk))",
    "CREATE TABLE stage (number INTEGER PRIMARY KEY, host INTEGER NOT NULL)"};

constexpr std::array<std::string_view, 7> postgresql_tables{
    "CREATE TABLE hedwig_format (version bigint NOT NULL, next_incarnation bigint NOT NULL)",
    "CREATE TABLE host (number serial PRIMARY KEY, name text NOT NULL UNIQUE, incarnation bigint NOT NULL, "
    "alive_until bigint NOT NULL, sequence bigint NOT NULL, "
    "messages_1 bigint NOT NULL, bytes_1 bigint NOT NULL, messages_2 bigint NOT NULL, bytes_2 bigint NOT NULL, "
    "messages_3 bigint NOT NULL, bytes_3 bigint NOT NULL, messages_4 bigint NOT NULL, bytes_4 bigint NOT NULL, "
    "messages_5 bigint NOT NULL, bytes_5 bigint NOT NULL) WITH (fillfactor = 50)",
    "CREATE TABLE message (id bytea PRIMARY KEY, state bigint NOT NULL, due bigint NOT NULL, "
    "revision bigint NOT NULL, body_size bigint NOT NULL, stage bigint NOT NULL, owner bigint NOT NULL, "
    "lease_until bigint NOT NULL, sum bigint NOT NULL, metadata bytea)",
    "CREATE INDEX message_due ON message (state, due, id)",
    "CREATE TABLE body (body bytea NOT NULL, chunk bigint NOT NULL, sum bigint NOT NULL, content bytea NOT NULL, "
    "PRIMARY KEY (body, chunk))",
    // To try to compress what is mostly base64 costs more than it saves.
    "ALTER TABLE body ALTER COLUMN content SET STORAGE EXTERNAL",
    "CREATE TABLE stage (number bigint PRIMARY KEY, host bigint NOT NULL)"};

std::string parameter(std::size_t& next) { return "$" + std::to_string(next++); }

/// "($1, $2), ($3, $4)" for two rows of two.
std::string rows_of(std::size_t rows, std::size_t columns) {
  std::string text;
  std::size_t next = 1;
  for (std::size_t row = 0; row < rows; ++row) {
    text += row == 0 ? "(" : ", (";
    for (std::size_t column = 0; column < columns; ++column)
      text += (column == 0 ? "" : ", ") + parameter(next);
    text += ")";
  }
  return text;
}

/// "($3, $4)" from the next parameter on.
std::string list_of(std::size_t count, std::size_t& next) {
  std::string text{"("};
  for (std::size_t i = 0; i < count; ++i)
    text += (i == 0 ? "" : ", ") + parameter(next);
  return text + ")";
}

std::string repeated(std::string_view text, std::size_t times) {
  std::string all;
  for (std::size_t i = 0; i < times; ++i)
    all += text;
  return all;
}

std::string state_list(std::uint32_t states) {
  std::string text{"(0"};
  for (std::uint32_t state = 1; state < HEDWIG_STATE_COUNT; ++state)
    if ((states & HEDWIG_STATE_MASK(state)) != 0)
      text += ", " + std::to_string(state);
  return text + ")";
}

/// Until when other hosts leave a message alone whose host gives signs of life: it claims its own again when their
/// lease has run out, and may not have come to that.
constexpr const char* others_wait = "lease_until + 86400000000000";

} // namespace

std::span<const std::string_view> table_statements(engine which) {
  if (which == engine::sqlite)
    return sqlite_tables;
  return postgresql_tables;
}

std::string statements::now() const {
  return engine_ == engine::sqlite ? "0" : "(extract(epoch from clock_timestamp()) * 1000000000)::bigint";
}

std::string statements::foreign_lease() const {
  if (engine_ == engine::sqlite)
    return "0";
  return "CASE WHEN owner <> 0 AND owner <> " + incarnation_ + " AND " + others_wait + " > " + now() +
         " AND EXISTS (SELECT 1 FROM host WHERE incarnation = owner AND alive_until > " + now() + ") THEN 1 ELSE 0 END";
}

// The leases of a host that stopped, or started anew, are void at once; those of one that is not heard from when the
// caller says so, who may have been cut off from the database himself.
std::string statements::claimable(std::size_t& next) const {
  auto own_clock = parameter(next), void_leases = parameter(next);
  return "(owner = 0 OR (owner = " + incarnation_ + " AND lease_until <= " + own_clock + ") OR (owner <> " +
         incarnation_ + " AND (" + others_wait + " <= " + now() +
         " OR NOT EXISTS (SELECT 1 FROM host WHERE incarnation = owner AND alive_until > CASE WHEN " + void_leases +
         "::bigint = 1 THEN " + now() + " ELSE 0 END))))";
}

statement_text statements::insert_messages(std::size_t rows) const {
  std::string values;
  std::size_t next = 1;
  for (std::size_t row = 0; row < rows; ++row) {
    values += row == 0 ? "(" : ", (";
    for (int column = 0; column < 3; ++column)
      values += parameter(next) + ", ";
    values += "1, "; // the revision
    for (int column = 0; column < 6; ++column)
      values += (column == 0 ? "" : ", ") + parameter(next);
    values += ")";
  }
  return {"INSERT INTO message (id, state, due, revision, body_size, stage, owner, lease_until, sum, metadata) "
          "VALUES " +
              values + " ON CONFLICT (id) DO NOTHING RETURNING id",
          repeated("biiiiiiib", rows), "b"};
}

statement_text statements::insert_chunks(std::size_t rows) const {
  return {"INSERT INTO body (body, chunk, sum, content) VALUES " + rows_of(rows, 4), repeated("biib", rows)};
}

statement_text statements::delete_messages(std::size_t rows) const {
  std::size_t next = 1;
  return {"DELETE FROM message WHERE id IN " + list_of(rows, next) + " RETURNING id, state, body_size, stage",
          repeated("b", rows), "biii"};
}

statement_text statements::delete_bodies(std::size_t rows) const {
  std::size_t next = 1;
  return {"DELETE FROM body WHERE body IN " + list_of(rows, next), repeated("b", rows)};
}

statement_text statements::lock_messages(std::size_t rows) const {
  std::size_t next = 1;
  // In order of the ids, so that two hosts cannot wait for each other.
  return {"SELECT id, state, revision, body_size, stage, " + foreign_lease() + " FROM message WHERE id IN " +
              list_of(rows, next) + " ORDER BY id" + (engine_ == engine::postgresql ? " FOR UPDATE" : ""),
          repeated("b", rows), "biiiii"};
}

statement_text statements::move_message(bool with_metadata) const {
  return {with_metadata ? "UPDATE message SET revision = revision + 1, state = $1, due = $2, owner = $3, "
                          "lease_until = $4, sum = $5, metadata = $6 WHERE id = $7"
                        : "UPDATE message SET revision = revision + 1, state = $1, due = $2, owner = $3, "
                          "lease_until = $4 WHERE id = $5",
          with_metadata ? "iiiiibb" : "iiiib"};
}

statement_text statements::insert_stage() const { return {"INSERT INTO stage (number, host) VALUES ($1, $2)", "ii"}; }

statement_text statements::delete_stage() const { return {"DELETE FROM stage WHERE number = $1", "i"}; }

statement_text statements::count_commit() const {
  std::string text{
      "UPDATE host SET sequence = CASE WHEN sequence > $1 THEN sequence ELSE $1 END, alive_until = " + now() + " + $2"};
  std::size_t next = 3;
  for (int state = 1; state < HEDWIG_STATE_COUNT; ++state)
    for (std::string column : {"messages_", "bytes_"}) {
      column += std::to_string(state);
      text += ", " + column + " = " + column + " + " + parameter(next);
    }
  return {text + " WHERE number = " + parameter(next) + " AND incarnation = " + incarnation_,
          "ii" + repeated("ii", HEDWIG_STATE_COUNT - 1) + "i"};
}

statement_text statements::page_of_due(bool claimable_only) const {
  std::size_t next = 5;
  bool shared = claimable_only && engine_ == engine::postgresql;
  auto filter = shared ? " AND " + claimable(next) : std::string{};
  return {"SELECT id, due, coalesce(length(metadata), 0) FROM message WHERE state = $1 AND (due, id) > ($2, $3) AND "
          "due <= $4" +
              filter + " ORDER BY due, id LIMIT " + parameter(next),
          shared ? "iibiiii" : "iibii", "bii"};
}

std::string statements::entry_columns() const {
  return "id, state, due, revision, body_size, stage, sum, metadata, " + foreign_lease();
}

statement_text statements::fetch_messages(std::size_t rows) const {
  std::size_t next = 1;
  return {"SELECT " + entry_columns() + " FROM message WHERE id IN " + list_of(rows, next), repeated("b", rows),
          "biiiiiibi"};
}

statement_text statements::claim_messages(std::uint32_t states, std::size_t rows) const {
  std::size_t next = 3;
  auto filter = claimable(next);
  auto ids = list_of(rows, next);
  return {"UPDATE message SET owner = " + incarnation_ +
              ", lease_until = $1 WHERE id IN (SELECT id FROM message WHERE due <= $2 AND state IN " +
              state_list(states) + " AND " + filter + " AND id IN " + ids + " FOR UPDATE SKIP LOCKED) RETURNING " +
              entry_columns(),
          "iiii" + repeated("b", rows), "biiiiiibi"};
}

statement_text statements::page_of_ids() const {
  return {"SELECT id, state, due, coalesce(length(metadata), 0) FROM message WHERE id > $1 ORDER BY id LIMIT $2", "bi",
          "biii"};
}

statement_text statements::locate() const { return {"SELECT stage, body_size FROM message WHERE id = $1", "b", "ii"}; }

statement_text statements::read_chunks() const {
  return {"SELECT chunk, sum, content FROM body WHERE body = $1 AND chunk >= $2 AND chunk <= $3 ORDER BY chunk", "bii",
          "iib"};
}

statement_text statements::counters() const {
  std::string text{"SELECT "};
  for (int state = 1; state < HEDWIG_STATE_COUNT; ++state)
    for (std::string column : {"messages_", "bytes_"}) {
      column = "sum(" + column + std::to_string(state) + ")";
      text += (text.size() > 7 ? ", " : "") + (engine_ == engine::sqlite ? column : column + "::bigint");
    }
  return {text + " FROM host", {}, repeated("ii", HEDWIG_STATE_COUNT - 1)};
}

statement_text statements::oldest_due() const {
  return {"SELECT due FROM message WHERE state = $1 ORDER BY due, id LIMIT 1", "i", "i"};
}

} // namespace hedwig::storage_sql
