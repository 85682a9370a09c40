// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hedwig::auth_sql {

/// A query as the operator writes it, "SELECT ... WHERE name = {user}", made ready for a database: each placeholder is
/// a parameter, whose value goes to the database beside the text and never in it.
class query_text {
public:
  query_text() = default;
  /// Throws std::invalid_argument that says what to write instead: for a placeholder inside quotes, where it would be
  /// text and not a parameter, and for what is no single query.
  explicit query_text(std::string_view written);

  [[nodiscard]] bool empty() const noexcept { return sql_.empty(); }
  /// With $1, $2 … in place of the placeholders, in the spelling of all engines, and at most `rows_max` rows.
  [[nodiscard]] std::string sql(std::size_t rows_max) const;
  /// The names of $1, $2 …, each once.
  [[nodiscard]] const std::vector<std::string>& parameters() const noexcept { return parameters_; }

private:
  std::string sql_;
  std::vector<std::string> parameters_;
};

} // namespace hedwig::auth_sql
