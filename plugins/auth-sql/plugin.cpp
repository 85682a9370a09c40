// SPDX-License-Identifier: Apache-2.0
// The auth provider "sql": users and their rights from a database. It blocks, so the host calls it on worker threads.
#include <hedwig/auth.hpp>
#include <hedwig/reloadable.hpp>
#include <hedwig/services.hpp>

#include <memory>

#include "login_check.hpp"
#include "settings.hpp"
#include "users.hpp"

namespace {

using hedwig::sdk::failure;
using hedwig::sdk::op;
using hedwig::sdk::view;
using namespace hedwig::auth_sql;
using namespace hedwig::logins;

struct series {
  explicit series(const hedwig::sdk::host& host)
    : cache_hits{counter(host, "cache_hits_total", "", "Logins answered from the cache.")},
      logins{counter(host, "database_logins_total", "", "Logins that the database was asked about.")},
      connections{counter(host, "connections_total", "", "Connections made to the database.")},
      failures{counter(host, "connection_failures_total", "", "Times that no connection could be made.")} {}
  hedwig::sdk::metric cache_hits, logins, connections, failures;
  counters of_pool() const {
    return {[one = connections] { one.add(); }, [one = failures] { one.add(); }};
  }
};

/// Settings and what was made of them; a reload makes new ones, and calls under way end with the old.
struct in_force {
  in_force(hedwig::sdk::host host, settings read, const series& count)
    : from{std::make_shared<const settings>(std::move(read))}, all{host, from, count.of_pool()},
      cache{from->cache_entries, {from->cache_time, from->negative_cache_time}} {}
  std::shared_ptr<const settings> from;
  users all;
  login_cache cache;
};

class sql_users {
public:
  static void validate(const hedwig::sdk::config& config) { static_cast<void>(read_settings(config)); }

  sql_users(hedwig::sdk::host host, const hedwig::sdk::config& config)
    : host_{host}, series_{host}, now_{make(config)} {}

  /// That the database does not answer, or not as it should, is no reason not to start: mail of others goes on.
  void start() {
    auto first = current();
    if (first->from->plain_passwords)
      host_.log(HEDWIG_LOG_WARN, "plain_passwords is set: passwords that are no hashes are taken as they stand");
    try {
      first->all.try_queries(start_deadline(*first));
    } catch (const failure& why) {
      host_.log(HEDWIG_LOG_ERROR, "nobody can log in yet", {{"error", why.what()}, {"setting", why.where()}});
    }
  }
  void stop() { now_.replace(nullptr); }
  /// A database that answers and does not like the queries keeps the old settings in force.
  void reload(const hedwig::sdk::config& config) {
    auto next = make(config);
    try {
      next->all.try_queries(start_deadline(*next));
    } catch (const failure& why) {
      host_.log(HEDWIG_LOG_ERROR, "the new settings find no users", {{"error", why.what()}, {"setting", why.where()}});
      if (why.status() == HEDWIG_E_CONFIG)
        throw;
    }
    now_.replace(std::move(next));
  }

  void verify_password(const hedwig_auth_request& request, op done) {
    try {
      hedwig::sdk::finish(done, verify(request, done.deadline()));
    } catch (...) {
      done.fail_with_current_exception();
    }
  }

  void fetch_scram(const hedwig_auth_request& request, op done) {
    try {
      check_name(request);
      series_.logins.add();
      hedwig::sdk::finish(done, current()->all.fetch_scram(view(request.username), done.deadline()));
    } catch (...) {
      done.fail_with_current_exception();
    }
  }

private:
  std::shared_ptr<in_force> make(const hedwig::sdk::config& config) const {
    return std::make_shared<in_force>(host_, read_settings(config), series_);
  }
  hedwig_time_ns start_deadline(const in_force& of) const {
    return host_.steady() + 2 * of.from->statement_timeout.count();
  }

  /// What is in force; a call may still come from a worker's queue while the provider stops.
  std::shared_ptr<in_force> current() const {
    if (auto now = now_.current())
      return now;
    throw failure{HEDWIG_E_UNAVAILABLE, "the provider stops"};
  }

  hedwig::sdk::identity verify(const hedwig_auth_request& request, hedwig_time_ns deadline) {
    check_name(request);
    auto password = view(request.secret);
    check_password(password);
    auto state = current();
    std::string login{view(request.username)};
    return ask_through(
        state->cache, host_, unknown_names::with_this_password, login, password,
        [&](login_cache::known what) {
          series_.cache_hits.add();
          if (what != login_cache::known::right)
            state->all.waste_time(password);
        },
        [&] {
          series_.logins.add();
          return state->all.verify(login, password, deadline);
        });
  }

  hedwig::sdk::host host_;
  series series_;
  hedwig::sdk::reloadable<in_force> now_;
};

constexpr auto provider =
    hedwig::sdk::auth_provider<sql_users>::make("sql", "Users, groups and their rights from SQLite or PostgreSQL.",
                                                &schema, HEDWIG_PROVIDER_BLOCKING | HEDWIG_PROVIDER_ISOLATABLE);

} // namespace

HEDWIG_PLUGIN("org.hedwig.auth-sql", "1.0.0", "Hedwig", "Apache-2.0", &provider)
