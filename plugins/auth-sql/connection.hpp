// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Poco/Data/Session.h>
#include <Poco/Data/Statement.h>
#include <hedwig/services.hpp>

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "settings.hpp"

namespace hedwig::auth_sql {

/// What a query gave; NULL is empty.
struct answer {
  std::vector<std::string> columns; ///< names in lower case
  std::vector<std::vector<std::string>> rows;
};

/// One connection to the database. It reads only. Used by one thread at a time; after a sql_error of the kind `lost` it
/// has to reconnect() first.
class connection {
public:
  /// Not connected yet. `timers` outlive it.
  connection(const settings& from, sdk::timers& timers) : from_{from}, timers_{timers} {}

  [[nodiscard]] bool connected() const noexcept { return connected_; }
  /// Throws sql_error.
  void reconnect();
  /// At most `rows_max` rows. Throws sql_error; `timeout` once `patience` is over, whatever the database does.
  [[nodiscard]] answer ask(const query_text& what, std::size_t rows_max, const std::vector<std::string>& values,
                           std::chrono::nanoseconds patience);

  /// Throws sql_error where the database would not understand it.
  void check(const query_text& what, std::chrono::nanoseconds patience);

private:
  /// A statement with the memory of its parameters and columns.
  struct prepared {
    std::unique_ptr<Poco::Data::Statement> statement;
    std::vector<std::string> names;
    std::deque<std::string> values;
    std::deque<std::vector<std::string>> columns;
    bool has_run = false;
  };
  [[nodiscard]] prepared& prepare(const std::string& sql, std::size_t parameters);
  [[nodiscard]] std::vector<std::string> names_of_columns(const std::string& sql) const;
  [[nodiscard]] answer run(prepared& what, const std::vector<std::string>& values);
  void set_up();
  [[nodiscard]] std::chrono::nanoseconds own_end() const noexcept;
  void execute(const std::string& sql);
  [[nodiscard]] std::function<void()> cutter() const;
  [[nodiscard]] sql::sql_error fault() noexcept;

  const settings& from_;
  sdk::timers& timers_;
  std::unique_ptr<Poco::Data::Session> session_;
  std::map<std::string, prepared> statements_; ///< by their text; as many as there are queries
  bool connected_ = false;
};

} // namespace hedwig::auth_sql
