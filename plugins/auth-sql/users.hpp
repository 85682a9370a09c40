// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/auth.hpp>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pool.hpp"
#include "settings.hpp"
#include "stored_password.hpp"

namespace hedwig::auth_sql {

/// The row of a user, and the rest of what the database says of him. Thread-safe.
class users {
public:
  users(sdk::host host, std::shared_ptr<const settings> from, counters count);

  /// Throws failure(NOT_FOUND, DENIED), and others where nothing is known of the user.
  [[nodiscard]] sdk::identity verify(std::string_view login, std::string_view password, hedwig_time_ns deadline);
  [[nodiscard]] sdk::scram_secret fetch_scram(std::string_view login, hedwig_time_ns deadline);
  /// Takes as long as a wrong password.
  void waste_time(std::string_view password) const;
  /// Asks for a user who is not there: throws failure with what is wrong with the database or the queries.
  void try_queries(hedwig_time_ns deadline);

private:
  /// Columns by name.
  class row {
  public:
    row(const std::vector<std::string>& columns, std::vector<std::string> values)
      : columns_{columns}, values_{std::move(values)} {}
    /// Null: there is no such column.
    [[nodiscard]] const std::string* find(std::string_view column) const;
    [[nodiscard]] std::string_view text(std::string_view column) const;

  private:
    std::vector<std::string> columns_;
    std::vector<std::string> values_;
  };

  [[nodiscard]] std::optional<row> find(std::string_view login, hedwig_time_ns deadline);
  void check_columns(const std::vector<std::string>& columns);
  void check_enabled(const row& user) const;
  [[nodiscard]] bool matches(const row& user, std::string_view password);
  [[nodiscard]] sdk::identity identity_of(const row& user, std::string_view login, hedwig_time_ns deadline);
  [[nodiscard]] std::vector<std::string> list_of(const query_text& what, const char* key, const row& user,
                                                 std::string_view login, std::string_view identity,
                                                 hedwig_time_ns deadline);

  sdk::host host_;
  std::shared_ptr<const settings> from_;
  pool pool_;
  mutable std::mutex mutex_;
  std::shared_ptr<const logins::stored_password> sample_; // what a hash of a user looks like
  bool columns_told_ = false;
};

} // namespace hedwig::auth_sql
