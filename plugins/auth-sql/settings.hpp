// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/auth.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "query_text.hpp"
#include "sql_trouble.hpp"

namespace hedwig::auth_sql {

/// The checked settings of one instance; see the schema for what each means.
struct settings {
  sql::engine which = sql::engine::sqlite;
  std::string target; ///< what Poco's connector wants; holds the password
  query_text user;
  query_text groups;
  query_text senders;
  std::vector<std::string> attributes; ///< columns, in lower case
  bool plain_passwords = false;
  std::size_t rows_max = 0;

  std::size_t connections_max = 0;
  std::chrono::nanoseconds statement_timeout{};
  std::chrono::nanoseconds retry_delay{};
  std::chrono::nanoseconds idle_timeout{};

  std::chrono::nanoseconds cache_time{};
  std::chrono::nanoseconds negative_cache_time{};
  std::size_t cache_entries = 0;
};

extern const hedwig_config_schema schema;
/// Throws sdk::failure(CONFIG) with the key for what the schema cannot check.
[[nodiscard]] settings read_settings(const sdk::config& config);

} // namespace hedwig::auth_sql
