// SPDX-License-Identifier: Apache-2.0
#include "connection.hpp"

#include <Poco/Data/PostgreSQL/Connector.h>
#include <Poco/Data/PostgreSQL/SessionHandle.h>
#include <Poco/Data/SQLite/Connector.h>
#include <Poco/Data/SQLite/Utility.h>
#include <Poco/Exception.h>
#include <libpq-fe.h>
#include <sqlite3.h>

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "login_text.hpp"
#include "watchdog.hpp"

namespace hedwig::auth_sql {

namespace {

namespace data = Poco::Data;
using data::Keywords::into;
using data::Keywords::use;
using sql::engine;
using sql::sql_error;
using sql::trouble;
using std::chrono::duration_cast;
using std::chrono::milliseconds;

/// Seconds that Poco tries to open a file of SQLite that gives errors; its own default is a minute.
constexpr std::size_t open_patience = 2;
/// The server ends a query that takes too long by itself; what is cut is a server that does not.
constexpr std::chrono::seconds grace{1};

PGconn* postgresql_of(const data::Session& session) {
  return *Poco::AnyCast<data::PostgreSQL::SessionHandle*>(session.getProperty("handle"));
}

struct clears {
  void operator()(PGresult* result) const noexcept { PQclear(result); }
};
using result_of_server = std::unique_ptr<PGresult, clears>;

void insist(PGconn* on, const result_of_server& result) {
  if (PQresultStatus(result.get()) == PGRES_COMMAND_OK)
    return;
  const auto* state = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
  throw sql_error{sql::meaning_of(state == nullptr ? "" : state, PQstatus(on) == CONNECTION_OK),
                  sql::readable(PQresultErrorMessage(result.get()))};
}

std::vector<std::string> names_from_server(PGconn* on, const std::string& sql) {
  insist(on, result_of_server{PQprepare(on, "", sql.c_str(), 0, nullptr)});
  result_of_server shape{PQdescribePrepared(on, "")};
  insist(on, shape);
  std::vector<std::string> names;
  for (int i = 0; i < PQnfields(shape.get()); ++i)
    names.push_back(logins::lower(PQfname(shape.get(), i)));
  return names;
}

std::vector<std::string> names_from_file(sqlite3* in, const std::string& sql) {
  sqlite3_stmt* made = nullptr;
  auto code = sqlite3_prepare_v2(in, sql.c_str(), -1, &made, nullptr);
  if (code != SQLITE_OK)
    throw sql_error{code == SQLITE_BUSY || code == SQLITE_LOCKED ? trouble::busy
                    : code == SQLITE_INTERRUPT                   ? trouble::timeout
                                                                 : trouble::other,
                    sqlite3_errmsg(in)};
  std::vector<std::string> names;
  for (int i = 0; i < sqlite3_column_count(made); ++i)
    names.push_back(logins::lower(sqlite3_column_name(made, i)));
  sqlite3_finalize(made);
  return names;
}

/// SQLite's connector knows the types of the standard, and fails where a column was declared with another.
sql_error of_unknown_type(const std::string& text) {
  return {trouble::other, "a column has a type that Poco's connector does not know (" + text +
                              "): write CAST(it AS TEXT) AS its_name in the query"};
}

} // namespace

sql_error connection::fault() noexcept {
  auto what = [this] {
    try {
      throw;
    } catch (const Poco::NotFoundException& e) {
      return from_.which == engine::sqlite ? of_unknown_type(e.message()) : sql::understand(true);
    } catch (...) {
      return sql::understand(session_ != nullptr && session_->isConnected());
    }
  }();
  if (from_.which == engine::sqlite && what.kind == trouble::lost) // a file, not a server
    what.kind = trouble::io;
  if (what.kind == trouble::lost)
    connected_ = false;
  return what;
}

void connection::reconnect() {
  statements_.clear();
  connected_ = false;
  data::SQLite::Connector::registerConnector();
  data::PostgreSQL::Connector::registerConnector();
  try {
    if (session_ && from_.which == engine::postgresql) {
      // Poco 1.11 does not free a connection that broke; this one uses it again.
      auto* handle = Poco::AnyCast<data::PostgreSQL::SessionHandle*>(session_->getProperty("handle"));
      if (!handle->reset())
        throw sql_error{trouble::lost, sql::readable(PQerrorMessage(*handle))};
    } else {
      session_.reset();
      session_ = from_.which == engine::sqlite
                     ? std::make_unique<data::Session>(data::SQLite::Connector::KEY, from_.target, open_patience)
                     : std::make_unique<data::Session>(data::PostgreSQL::Connector::KEY, from_.target);
    }
    watchdog guard{timers_, own_end(), cutter()}; // the server's limit is not set yet
    set_up();
  } catch (...) {
    auto why = fault();
    throw sql_error{why.kind == trouble::other ? trouble::lost : why.kind, why.what()};
  }
  connected_ = true;
}

void connection::set_up() {
  auto most = std::to_string(duration_cast<milliseconds>(from_.statement_timeout).count());
  if (from_.which == engine::sqlite) {
    execute("PRAGMA busy_timeout = " + most);
    execute("PRAGMA query_only = 1");
    return;
  }
  execute("SET statement_timeout = " + most);
  execute("SET default_transaction_read_only = on");
  execute("SET client_min_messages = error");
}

void connection::execute(const std::string& sql) { *session_ << sql, data::Keywords::now; }

std::function<void()> connection::cutter() const {
  if (from_.which == engine::sqlite)
    return [database = data::SQLite::Utility::dbHandle(*session_)] { sqlite3_interrupt(database); };
  // A descriptor of its own: the library may close the one it has, and another thread get its number.
  auto held = std::shared_ptr<int>{new int{::dup(PQsocket(postgresql_of(*session_)))}, [](int* fd) {
                                     if (*fd >= 0)
                                       ::close(*fd);
                                     delete fd;
                                   }};
  return [held] { ::shutdown(*held, SHUT_RDWR); };
}

std::vector<std::string> connection::names_of_columns(const std::string& sql) const {
  return from_.which == engine::sqlite ? names_from_file(data::SQLite::Utility::dbHandle(*session_), sql)
                                       : names_from_server(postgresql_of(*session_), sql);
}

connection::prepared& connection::prepare(const std::string& sql, std::size_t parameters) {
  if (auto found = statements_.find(sql); found != statements_.end())
    return found->second;
  prepared made;
  made.names = names_of_columns(sql);
  made.statement = std::make_unique<data::Statement>(*session_);
  *made.statement << sql;
  // Texts go both ways, whatever the columns are: the database converts, and knows how.
  for (std::size_t i = 0; i < parameters; ++i)
    *made.statement, use(made.values.emplace_back());
  for (std::size_t i = 0; i < made.names.size(); ++i)
    *made.statement, into(made.columns.emplace_back());
  return statements_.emplace(sql, std::move(made)).first->second;
}

answer connection::run(prepared& what, const std::vector<std::string>& values) {
  std::ranges::copy(values, what.values.begin());
  for (auto& column : what.columns)
    column.clear();
  try {
    what.statement->execute();
  } catch (...) {
    if (from_.which == engine::postgresql && what.has_run)
      sql::bury(std::move(what.statement));
    throw;
  }
  what.has_run = true;
  answer out{what.names, {}};
  for (std::size_t row = 0; !what.columns.empty() && row < what.columns.front().size(); ++row) {
    auto& texts = out.rows.emplace_back();
    for (auto& column : what.columns)
      texts.push_back(column.at(row));
  }
  return out;
}

answer connection::ask(const query_text& what, std::size_t rows_max, const std::vector<std::string>& values,
                       std::chrono::nanoseconds patience) {
  auto sql = what.sql(rows_max);
  watchdog guard{timers_, std::min(patience, own_end()), cutter()};
  for (bool again = true;; again = false) {
    bool known = statements_.contains(sql);
    try {
      return run(prepare(sql, values.size()), values);
    } catch (...) {
      auto why = fault();
      statements_.erase(sql);
      if (guard.barked())
        throw sql_error{trouble::timeout, "no answer within the time it may take"};
      // The tables may have changed since it was prepared.
      if (!again || !known || why.kind != trouble::other)
        throw why;
    }
  }
}

void connection::check(const query_text& what, std::chrono::nanoseconds patience) {
  watchdog guard{timers_, std::min(patience, own_end()), cutter()};
  try {
    static_cast<void>(names_of_columns(what.sql(1)));
  } catch (...) {
    throw fault();
  }
}

std::chrono::nanoseconds connection::own_end() const noexcept {
  return from_.which == engine::postgresql ? from_.statement_timeout + grace : from_.statement_timeout;
}

} // namespace hedwig::auth_sql
