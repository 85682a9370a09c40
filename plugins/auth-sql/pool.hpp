// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "connection.hpp"
#include "settings.hpp"

namespace hedwig::auth_sql {

/// What the host's metrics are told; each legal on every thread.
struct counters {
  std::function<void()> connected;
  std::function<void()> failed;
};

/// The connections to the database, made when they are wanted, up to settings::connections_max. After one could not be
/// made the database is left alone for settings::retry_delay. Thread-safe.
class pool {
public:
  pool(sdk::host host, std::shared_ptr<const settings> from, counters count);

  /// Rows of `what`, by `deadline` of the host's steady clock. Throws failure(UNAVAILABLE, TIMEOUT or BUSY). `key` is
  /// the setting that `what` comes from.
  [[nodiscard]] answer ask(const query_text& what, const char* key, std::size_t rows_max,
                           const std::vector<std::string>& values, hedwig_time_ns deadline);
  /// Throws where the database would not understand `what`; without asking it.
  void check(const query_text& what, const char* key, hedwig_time_ns deadline);

private:
  struct idle {
    std::unique_ptr<connection> held;
    hedwig_time_ns since;
  };
  [[nodiscard]] std::chrono::nanoseconds patience(hedwig_time_ns deadline) const;
  [[nodiscard]] std::unique_ptr<connection> borrow(hedwig_time_ns deadline);
  void give_back(std::unique_ptr<connection> held);
  void connect(connection& to);
  template <class Use>
  auto with_connection(const char* key, hedwig_time_ns deadline, Use use);
  [[nodiscard]] sdk::failure failure_of(const sql::sql_error& why, const char* key) const;

  sdk::host host_;
  std::shared_ptr<const settings> from_;
  counters count_;
  sdk::timers timers_; // outlives the connections
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<idle> waiting_; // the one used last stands last
  std::size_t open_ = 0;      // waiting ones among them
  hedwig_time_ns rests_until_ = 0;
  std::string last_fault_;
  bool down_ = false;
};

} // namespace hedwig::auth_sql
