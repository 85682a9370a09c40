// SPDX-License-Identifier: Apache-2.0
// The auth provider "ldap": users, groups and their rights from a directory. It blocks, so the host calls it on worker
// threads.
#include <hedwig/auth.hpp>
#include <hedwig/reloadable.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "directory.hpp"
#include "login_check.hpp"
#include "settings.hpp"
#include "text.hpp"

namespace {

using hedwig::sdk::failure;
using hedwig::sdk::op;
using hedwig::sdk::view;
using namespace hedwig::auth_ldap;
using namespace hedwig::logins;

/// The metrics of one instance; without the host's service nothing is counted.
class metrics {
public:
  explicit metrics(const hedwig::sdk::host& host)
    : host_{host}, api_{host.service<hedwig_host_metric>(HEDWIG_HOST_METRIC)},
      cache_hits_{declare("cache_hits_total", "Logins answered from the cache.")},
      logins_{declare("directory_logins_total", "Logins that the directory was asked about.")},
      connections_{declare("connections_total", "Connections opened to directory servers.")},
      failures_{declare("server_failures_total", "Times a directory server failed and was left alone.")} {}

  void cache_hit() const { add(cache_hits_); }
  void login() const { add(logins_); }
  counters of_servers() const {
    return {[self = *this] { self.add(self.connections_); }, [self = *this] { self.add(self.failures_); }};
  }

private:
  std::uint64_t declare(const char* name, const char* help) const {
    return api_ == nullptr ? 0 : api_->declare(host_.raw(), HEDWIG_METRIC_COUNTER, name, "", help);
  }
  void add(std::uint64_t metric) const {
    if (metric != 0)
      api_->add(host_.raw(), metric, 1);
  }

  hedwig::sdk::host host_;
  const hedwig_host_metric* api_;
  std::uint64_t cache_hits_, logins_, connections_, failures_;
};

/// Settings and what was made of them; a reload makes new ones, and calls under way end with the old.
struct in_force {
  in_force(hedwig::sdk::host host, settings read, const metrics& count)
    : from{std::make_shared<const settings>(std::move(read))}, users{host, from, count.of_servers()},
      cache{from->cache_entries, {from->cache_time, from->negative_cache_time}} {}
  std::shared_ptr<const settings> from;
  directory users;
  login_cache cache;
};

class ldap_users {
public:
  static void validate(const hedwig::sdk::config& config) { static_cast<void>(read_settings(config)); }

  ldap_users(hedwig::sdk::host host, const hedwig::sdk::config& config)
    : host_{host}, metrics_{host}, now_{make(read_settings(config))} {}

  void start() { greet(*current()); }
  void stop() { now_.replace(nullptr); }
  void reload(const hedwig::sdk::config& config) {
    auto next = make(read_settings(config));
    greet(*next);
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
      hedwig::sdk::finish(done, secret_of(request, done.deadline()));
    } catch (...) {
      done.fail_with_current_exception();
    }
  }

private:
  std::shared_ptr<in_force> make(settings read) const {
    return std::make_shared<in_force>(host_, std::move(read), metrics_);
  }

  /// What can be said before anybody logs in. That no server answers is no reason not to start.
  void greet(const in_force& next) const {
    auto& from = *next.from;
    if (!from.tls)
      host_.log(HEDWIG_LOG_WARN, "passwords cross the network in clear: set tls = \"required\"");
    auto fd = from.tls ? ::open(from.ca_file.c_str(), O_RDONLY | O_CLOEXEC) : -1;
    if (from.tls && fd < 0)
      throw failure{HEDWIG_E_CONFIG, "cannot open " + from.ca_file + ": " + std::strerror(errno), "ca_file", errno};
    if (fd >= 0)
      ::close(fd);
  }

  hedwig::sdk::identity verify(const hedwig_auth_request& request, hedwig_time_ns deadline) {
    check_name(request);
    auto password = view(request.secret);
    check_password(password); // RFC 4513 section 5.1.2: a bind without a password succeeds for everybody
    auto state = current();
    std::string login{view(request.username)};
    return ask_through(
        state->cache, host_, unknown_names::with_any_password, login, password, [&](auto) { metrics_.cache_hit(); },
        [&] {
          metrics_.login();
          return state->users.verify(login, password, deadline);
        });
  }

  hedwig::sdk::scram_secret secret_of(const hedwig_auth_request& request, hedwig_time_ns deadline) {
    check_name(request);
    auto state = current();
    if (state->from->scram_attribute.empty())
      throw failure{HEDWIG_E_NOT_FOUND, "scram_attribute is not set"};
    metrics_.login();
    return state->users.fetch_scram(view(request.username), deadline);
  }

  /// What is in force; a call may still come from a worker's queue while the provider stops.
  std::shared_ptr<in_force> current() const {
    if (auto now = now_.current())
      return now;
    throw failure{HEDWIG_E_UNAVAILABLE, "the provider stops"};
  }

  hedwig::sdk::host host_;
  metrics metrics_;
  hedwig::sdk::reloadable<in_force> now_;
};

constexpr auto provider = hedwig::sdk::auth_provider<ldap_users>::make(
    "ldap", "Users, groups and their rights from an LDAP directory or Active Directory.", &schema,
    HEDWIG_PROVIDER_BLOCKING | HEDWIG_PROVIDER_ISOLATABLE);

} // namespace

HEDWIG_PLUGIN("org.hedwig.auth-ldap", "1.0.0", "Hedwig", "Apache-2.0", &provider)
