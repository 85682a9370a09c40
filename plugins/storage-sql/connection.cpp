// SPDX-License-Identifier: Apache-2.0
#include "plugins/storage-sql/connection.hpp"

#include <Poco/Data/PostgreSQL/Connector.h>
#include <Poco/Data/PostgreSQL/SessionHandle.h>
#include <Poco/Data/SQLite/Connector.h>
#include <Poco/Data/SQLite/Utility.h>
#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace hedwig::storage_sql {

namespace {

namespace data = Poco::Data;
using data::Keywords::into;
using data::Keywords::use;

/// Seconds that Poco tries to open a file of SQLite that gives errors; its own default is a minute.
constexpr std::size_t open_patience = 2;
constexpr std::uint64_t begin_key = ~std::uint64_t{0}, commit_key = begin_key - 1, rollback_key = begin_key - 2;

constexpr std::array<std::uint8_t, 256> hex_values() {
  std::array<std::uint8_t, 256> values{};
  for (int i = 0; i < 10; ++i)
    values[static_cast<std::size_t>('0' + i)] = static_cast<std::uint8_t>(i);
  for (int i = 0; i < 6; ++i)
    values[static_cast<std::size_t>('a' + i)] = static_cast<std::uint8_t>(10 + i);
  return values;
}

void from_hex(std::string_view digits, char* out) noexcept {
  static constexpr auto values = hex_values();
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2)
    *out++ = static_cast<char>(values[static_cast<unsigned char>(digits[i])] << 4 |
                               values[static_cast<unsigned char>(digits[i + 1])]);
}

int last_errno(sqlite3* database, int which_file) noexcept {
  sqlite3_file* file = nullptr;
  int number = 0;
  if (sqlite3_file_control(database, "main", which_file, static_cast<void*>(&file)) == SQLITE_OK && file != nullptr &&
      file->pMethods != nullptr)
    file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &number);
  return number;
}

/// SQLite calls a database damaged where the disk gave back an error instead of a page; only its files remember.
sql_error with_cause(sql_error what, const data::Session& session, engine which) {
  if (which != engine::sqlite || what.kind != trouble::corrupt)
    return what;
  auto* database = data::SQLite::Utility::dbHandle(session);
  for (int file : {SQLITE_FCNTL_FILE_POINTER, SQLITE_FCNTL_JOURNAL_POINTER})
    if (int number = last_errno(database, file); number == EIO || number == ENXIO)
      return {trouble::unreadable, std::string{"reading its file: "} + std::strerror(number)};
  return what;
}

} // namespace

// ---- query

query::query(data::Session& session, engine which, const statement_text& text)
  : engine_{which}, session_{session}, statement_{std::make_unique<data::Statement>(session)} {
  *statement_ << text.sql;
  bind(text.parameters);
  extract(text.columns);
}

void query::bind(const std::string& parameters) {
  for (char type : parameters) {
    if (type == 'i') {
      places_.push_back(integers_.size());
      *statement_, use(integers_.emplace_back(0));
    } else {
      places_.push_back(blobs_.size());
      *statement_, use(blobs_.emplace_back());
    }
  }
}

void query::extract(const std::string& columns) {
  for (char type : columns) {
    auto& one = columns_.emplace_back();
    one.type = type;
    if (type == 'i')
      *statement_, into(one.integers);
    else if (engine_ == engine::sqlite)
      *statement_, into(one.blobs);
    else
      *statement_, into(one.texts);
  }
}

query::~query() = default;

query& query::set(std::size_t at, std::int64_t value) {
  integers_.at(places_.at(at)) = value;
  return *this;
}

query& query::set(std::size_t at, std::string_view bytes) {
  blobs_.at(places_.at(at)).clear();
  return append(at, bytes);
}

query& query::append(std::size_t at, std::string_view bytes) {
  if (!bytes.empty())
    blobs_.at(places_.at(at)).appendRaw(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  return *this;
}

std::size_t query::run() {
  if (!statement_)
    throw sql_error{trouble::other, "a statement that failed was used again"};
  for (auto& one : columns_) {
    one.integers.clear();
    one.blobs.clear();
    one.texts.clear();
  }
  try {
    auto count = statement_->execute();
    rows_ = columns_.empty()               ? count
            : columns_.front().type == 'i' ? columns_.front().integers.size()
                                           : columns_.front().blobs.size() + columns_.front().texts.size();
    has_run_ = true;
    return rows_;
  } catch (...) {
    auto what = with_cause(sql::understand(session_.isConnected()), session_, engine_);
    if (engine_ == engine::postgresql && has_run_)
      sql::bury(std::move(statement_));
    throw what;
  }
}

std::int64_t query::integer(std::size_t row, std::size_t place) const { return columns_.at(place).integers.at(row); }

std::size_t query::size(std::size_t row, std::size_t place) const {
  auto& one = columns_.at(place);
  if (engine_ == engine::sqlite)
    return one.blobs.at(row).size();
  auto& text = one.texts.at(row);
  return text.size() < 2 ? 0 : text.size() / 2 - 1;
}

void query::copy(std::size_t row, std::size_t place, char* out) const {
  auto& one = columns_.at(place);
  if (engine_ == engine::sqlite) {
    auto& from = one.blobs.at(row);
    if (from.size() != 0)
      std::memcpy(out, from.rawContent(), from.size());
  } else if (std::string_view text{one.texts.at(row)}; text.starts_with("\\x")) {
    from_hex(text.substr(2), out);
  }
}

std::string query::bytes(std::size_t row, std::size_t place) const {
  std::string out(size(row, place), '\0');
  copy(row, place, out.data());
  return out;
}

// ---- connection

connection::connection(engine which, std::string target) : engine_{which}, target_{std::move(target)} {
  data::SQLite::Connector::registerConnector();
  data::PostgreSQL::Connector::registerConnector();
  reconnect();
}

connection::~connection() { forget(); }

void connection::reconnect() {
  forget();
  try {
    if (session_ && engine_ == engine::postgresql) {
      // Poco 1.11 does not free a connection that broke; this one uses it again.
      auto* handle = Poco::AnyCast<data::PostgreSQL::SessionHandle*>(session_->getProperty("handle"));
      if (!handle->reset())
        throw sql_error{trouble::lost, sql::readable(PQerrorMessage(*handle))};
      return;
    }
    session_.reset();
    session_ = engine_ == engine::sqlite
                   ? std::make_unique<data::Session>(data::SQLite::Connector::KEY, target_, open_patience)
                   : std::make_unique<data::Session>(data::PostgreSQL::Connector::KEY, target_);
  } catch (...) {
    auto what = sql::understand(false);
    if (engine_ == engine::sqlite && what.kind == trouble::lost) // a file, not a server
      what.kind = trouble::io;
    throw what;
  }
}

std::unique_ptr<query> connection::make(const statement_text& text) {
  if (!session_)
    throw sql_error{trouble::lost, "not connected to the database"};
  try {
    return std::make_unique<query>(*session_, engine_, text);
  } catch (...) {
    throw with_cause(sql::understand(session_->isConnected()), *session_, engine_);
  }
}

void connection::execute(const std::string& sql) { make({sql})->run(); }

std::int64_t connection::ask_integer(const std::string& sql) {
  auto one = make({sql, {}, "i"});
  return one->run() == 0 ? 0 : one->integer(0, 0);
}

std::string connection::ask_text(const std::string& sql) {
  std::string answer;
  try {
    *session_ << sql, into(answer), data::Keywords::now;
  } catch (...) {
    throw with_cause(sql::understand(session_->isConnected()), *session_, engine_);
  }
  return answer;
}

void connection::begin() {
  prepared(begin_key, [this] { return statement_text{engine_ == engine::sqlite ? "BEGIN IMMEDIATE" : "BEGIN"}; }).run();
}

void connection::commit() {
  prepared(commit_key, [] { return statement_text{"COMMIT"}; }).run();
}

void connection::rollback() noexcept {
  try {
    prepared_.erase(rollback_key);
    prepared(rollback_key, [] { return statement_text{"ROLLBACK"}; }).run();
  } catch (...) { // nothing to roll back, or nobody to tell
  }
  forget();
}

} // namespace hedwig::storage_sql
