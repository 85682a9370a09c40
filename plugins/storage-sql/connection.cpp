// SPDX-License-Identifier: Apache-2.0
#include "plugins/storage-sql/connection.hpp"

#include <Poco/Data/PostgreSQL/Connector.h>
#include <Poco/Data/PostgreSQL/SessionHandle.h>
#include <Poco/Data/SQLite/Connector.h>
#include <Poco/Data/SQLite/SQLiteException.h>
#include <Poco/Data/SQLite/Utility.h>
#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <mutex>

namespace hedwig::storage_sql {

namespace {

namespace data = Poco::Data;
using data::Keywords::into;
using data::Keywords::use;

/// Seconds that Poco tries to open a file of SQLite that gives errors; its own default is a minute.
constexpr std::size_t open_patience = 2;
constexpr std::uint64_t begin_key = ~std::uint64_t{0}, commit_key = begin_key - 1, rollback_key = begin_key - 2;

/// Poco 1.11 gives PostgreSQL's SQLSTATE in its text alone: "... State: 53100 Detail: ...".
std::string_view sql_state(std::string_view text) noexcept {
  constexpr std::string_view mark = " State: ";
  auto at = text.rfind(mark);
  if (at == std::string_view::npos)
    return {};
  auto state = text.substr(at + mark.size(), 5);
  return state.starts_with("N/A") ? std::string_view{} : state;
}

trouble meaning_of(std::string_view state, bool connected) noexcept {
  if (state == "53100")
    return trouble::no_space;
  if (state.starts_with("08") || state == "57P01" || state == "57P02" || state == "57P03" || state == "57P05")
    return trouble::lost;
  if (!connected)
    return trouble::lost;
  if (state.starts_with("53"))
    return trouble::busy;
  if (state.starts_with("40"))
    return trouble::retry;
  if (state == "57014" || state == "55P03")
    return trouble::timeout;
  if (state == "25006")
    return trouble::read_only;
  if (state == "XX001" || state == "XX002")
    return trouble::corrupt;
  return state.starts_with("58") ? trouble::io : trouble::other;
}

/// The first line, without what Poco puts around it.
std::string readable(std::string text) {
  if (auto at = text.find(" Severity: "); at != std::string::npos)
    text.resize(at);
  for (auto& c : text)
    if (static_cast<unsigned char>(c) < ' ')
      c = ' ';
  while (!text.empty() && text.back() == ' ')
    text.pop_back();
  return text;
}

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

/// Poco 1.11 frees the result of a PostgreSQL statement twice when it fails after it has succeeded. Such a one is never
/// destroyed: a few kilobytes for each connection that breaks.
void bury(std::unique_ptr<data::Statement> one) {
  static std::mutex mutex;
  static auto* const graveyard = new std::vector<std::unique_ptr<data::Statement>>;
  std::lock_guard guard{mutex};
  graveyard->push_back(std::move(one));
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

sql_error understand(bool connected) noexcept {
  namespace lite = data::SQLite;
  try {
    throw;
  } catch (const sql_error& e) {
    return e;
  } catch (const lite::DatabaseFullException& e) {
    return {trouble::no_space, readable(e.displayText())};
  } catch (const lite::DBLockedException& e) {
    return {trouble::busy, readable(e.displayText())};
  } catch (const lite::TableLockedException& e) {
    return {trouble::busy, readable(e.displayText())};
  } catch (const lite::NoMemoryException& e) {
    return {trouble::busy, readable(e.displayText())};
  } catch (const lite::CorruptImageException& e) {
    return {trouble::corrupt, readable(e.displayText())};
  } catch (const lite::ReadOnlyException& e) {
    return {trouble::read_only, readable(e.displayText())};
  } catch (const lite::SQLiteException& e) {
    return {trouble::io, readable(e.displayText())};
  } catch (const data::ConnectionFailedException& e) {
    return {trouble::lost, readable(e.displayText())};
  } catch (const data::NotConnectedException&) {
    return {trouble::lost, "not connected to the database"}; // its text is the connection string
  } catch (const Poco::Exception& e) {
    auto text = e.displayText();
    return {meaning_of(sql_state(text), connected), readable(text)};
  } catch (const std::bad_alloc&) {
    return {trouble::busy, "out of memory"};
  } catch (const std::exception& e) {
    return {trouble::other, e.what()};
  } catch (...) {
    return {trouble::other, "unknown exception"};
  }
}

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
    auto what = with_cause(understand(session_.isConnected()), session_, engine_);
    if (engine_ == engine::postgresql && has_run_)
      bury(std::move(statement_));
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
        throw sql_error{trouble::lost, readable(PQerrorMessage(*handle))};
      return;
    }
    session_.reset();
    session_ = engine_ == engine::sqlite
                   ? std::make_unique<data::Session>(data::SQLite::Connector::KEY, target_, open_patience)
                   : std::make_unique<data::Session>(data::PostgreSQL::Connector::KEY, target_);
  } catch (...) {
    auto what = understand(false);
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
    throw with_cause(understand(session_->isConnected()), *session_, engine_);
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
    throw with_cause(understand(session_->isConnected()), *session_, engine_);
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
