// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Poco/Data/LOB.h>
#include <Poco/Data/Session.h>
#include <Poco/Data/Statement.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sql_trouble.hpp"

namespace hedwig::storage_sql {

using sql::engine;
using sql::sql_error;
using sql::trouble;

/// A statement in both engines' common spelling: parameters are $1, $2 … in order of first use. One letter a parameter
/// and a result column: 'i' for an integer of 64 bits, 'b' for bytes.
struct statement_text {
  std::string sql;
  std::string parameters{};
  std::string columns{};
};

/// One prepared statement with the memory of its parameters and results. Belongs to one connection and its thread.
class query {
public:
  query(Poco::Data::Session& session, engine which, const statement_text& text);
  ~query();
  query(const query&) = delete;
  query& operator=(const query&) = delete;

  /// Parameters count from 0. Empty bytes are NULL.
  query& set(std::size_t at, std::int64_t value);
  query& set(std::size_t at, std::string_view bytes);
  query& append(std::size_t at, std::string_view bytes);
  /// Rows returned, or changed where the statement returns none. Throws sql_error; the query is of no use after that.
  std::size_t run();

  [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
  [[nodiscard]] std::int64_t integer(std::size_t row, std::size_t place) const;
  [[nodiscard]] std::size_t size(std::size_t row, std::size_t place) const;
  void copy(std::size_t row, std::size_t place, char* out) const;
  [[nodiscard]] std::string bytes(std::size_t row, std::size_t place) const;

private:
  using blob = Poco::Data::BLOB;
  struct column {
    char type = 'i';
    std::vector<Poco::Int64> integers{};
    std::vector<blob> blobs{};        // SQLite
    std::vector<std::string> texts{}; // PostgreSQL: \x and hexadecimal digits
  };
  void bind(const std::string& parameters);
  void extract(const std::string& columns);

  engine engine_;
  Poco::Data::Session& session_;
  std::unique_ptr<Poco::Data::Statement> statement_;
  bool has_run_ = false;
  std::vector<std::size_t> places_; // of each parameter in its own deque
  std::deque<Poco::Int64> integers_;
  std::deque<blob> blobs_;
  std::deque<column> columns_;
  std::size_t rows_ = 0;
};

/// One session with its prepared statements. One thread at a time.
class connection {
public:
  /// Connects, or throws sql_error. `target` is what the engine's connector in Poco wants.
  connection(engine which, std::string target);
  ~connection();

  /// Drops session and statements and connects anew.
  void reconnect();
  /// Forgets the statements: after an error some are stuck half-way.
  void forget() noexcept { prepared_.clear(); }

  /// Finds the statement by `key`, or makes it out of what `text()` returns.
  template <class Text>
  query& prepared(std::uint64_t key, Text&& text) {
    auto& found = prepared_[key];
    if (!found)
      found = make(text());
    return *found;
  }
  /// For once; the caller's.
  std::unique_ptr<query> make(const statement_text& text);
  void execute(const std::string& sql);
  [[nodiscard]] std::int64_t ask_integer(const std::string& sql);
  std::string ask_text(const std::string& sql);

  void begin();
  void commit();
  /// Back to no transaction, or a connection that says it is lost.
  void rollback() noexcept;

  bool broken = false; ///< for its owner: reconnect before the next use

private:
  engine engine_;
  std::string target_;
  std::unique_ptr<Poco::Data::Session> session_;
  std::unordered_map<std::uint64_t, std::unique_ptr<query>> prepared_;
};

} // namespace hedwig::storage_sql
