// SPDX-License-Identifier: Apache-2.0
#include "app/relay.hpp"

#include "runtime/net/tls_tickets.hpp"

#include <algorithm>
#include <iterator>

namespace hedwig::app {

namespace {

/// Sorted by place, each once: a list of authorities is loaded twice, and fails twice.
void tidy(std::vector<config::diagnostic>& list) {
  std::ranges::sort(list);
  list.erase(std::ranges::unique(list).begin(), list.end());
}

/// Loads the keys, certificates and providers that `made.loaded` names. In a line with an error nothing more is
/// complained about: what is said there would be about a default.
void load_named(prepared& made, providers& from) {
  auto& loaded = *made.loaded;
  auto known = made.errors;
  auto complain = [&](config::diagnostic what) {
    auto same_line = [&](auto& one) { return one.line == what.line && what.line != 0; };
    if (std::ranges::none_of(known, same_line))
      made.errors.push_back(std::move(what));
  };
  policy_report report;
  made.policy = make_policy(loaded.settings, clock::system().wall(), report, made.tls);
  for (auto& one : report.errors)
    complain(config::diagnostic_at(loaded, one.key, one.text));
  for (auto& one : report.warnings)
    made.warnings.push_back(config::diagnostic_at(loaded, one.key, one.text));
  made.plan = from.plan(loaded);
  std::ranges::for_each(made.plan.errors, complain);
  std::ranges::copy(made.plan.warnings, std::back_inserter(made.warnings));
  tidy(made.errors);
  tidy(made.warnings);
}

prepared checked(std::expected<config::loaded, std::vector<config::diagnostic>> loaded) {
  prepared made;
  if (!loaded) {
    made.errors = std::move(loaded.error());
    return made;
  }
  made.warnings = loaded->warnings;
  made.loaded = std::move(*loaded);
  return made;
}

prepared looked_at(config::looked_at from) {
  prepared made;
  made.errors = std::move(from.errors);
  if (from.file)
    made.warnings = from.file->warnings;
  made.loaded = std::move(from.file);
  return made;
}

} // namespace

net::handshake_limits handshake_limits_of(const config::tls_process_settings& tls) {
  return {.running = tls.max_handshakes, .waiting = tls.max_waiting_handshakes};
}

std::string prepared::text() const { return config::to_text(warnings, "warning") + config::to_text(errors, "error"); }

prepared prepare(const std::string& config_path) {
  auto made = looked_at(config::look(config_path));
  if (!made.loaded)
    return made;
  made.providers = std::make_unique<providers>(made.loaded->settings);
  auto& tls = made.loaded->settings.server.tls;
  made.tls = {.tickets = std::make_shared<net::tls_ticket_keys>(clock::system(), tls.ticket_rotation),
              .gate = std::make_shared<net::handshake_gate>(handshake_limits_of(tls))};
  load_named(made, *made.providers);
  return made;
}

prepared_reload prepare_reload(const std::string& config_path, const config::loaded& in_force, providers& running,
                               const net::tls_commons& tls) {
  prepared_reload made;
  // The machine may have another name by now; the relay keeps the one it started with.
  made.next = looked_at(config::look(config_path, in_force.options));
  if (!made.next.loaded)
    return made;
  made.next.tls = tls;
  load_named(made.next, running);
  if (!made.next.ok())
    return made;
  made.changes = config::plan_reload(in_force.root, made.next.loaded->root, running.reload_options());
  auto warnings = std::move(made.next.warnings);
  made.next = checked(config::load_root(made.changes.root, config_path, in_force.options));
  made.next.tls = tls;
  if (made.next.ok())
    load_named(made.next, running);
  for (auto& one : made.next.errors)
    one.message += " (together with what waits for a restart)";
  made.next.warnings = std::move(warnings);
  return made;
}

} // namespace hedwig::app
