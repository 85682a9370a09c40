// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <sys/types.h>

namespace hedwig::test {

/// A PostgreSQL server of the test's own: a cluster in a temporary folder, on a Unix socket, run by an unprivileged
/// user. Needs Debian's package postgresql.
class postgresql_server {
public:
  postgresql_server();
  ~postgresql_server();
  postgresql_server(const postgresql_server&) = delete;
  postgresql_server& operator=(const postgresql_server&) = delete;

  /// Why there is none; empty when it runs.
  const std::string& reason() const { return reason_; }
  /// For the store's key "connection".
  std::string connection() const { return "host=" + folder_ + " dbname=postgres user=hedwig"; }
  void start();
  /// How pg_ctl stops it: "fast", or "immediate", which is a crash.
  void stop(const std::string& mode);
  /// Runs `sql` by psql and gives back what it prints.
  std::string ask(const std::string& sql) const;

private:
  int run(const std::string& program, const std::string& arguments) const;

  std::string folder_;
  std::string programs_; ///< where initdb and pg_ctl are
  std::string user_;     ///< put before commands to drop root's privileges
  std::string reason_;
};

} // namespace hedwig::test
