// SPDX-License-Identifier: Apache-2.0
#include "app/relay.hpp"

#include "runtime/config/diagnostic.hpp"

#include <algorithm>

namespace hedwig::app {

namespace {

/// Sessions find their rules by the number of their listener, and the numbers are those of the start.
void keep_listeners(config::settings& fresh, const config::settings& in_force) {
  auto wanted = std::move(fresh.server.listeners);
  fresh.server.listeners = in_force.server.listeners;
  for (auto& listener : fresh.server.listeners) {
    auto same = std::ranges::find(wanted, listener.addr, &config::listener_settings::addr);
    if (same != wanted.end())
      listener = *same;
  }
}

} // namespace

prepared prepare(const std::string& config_path, providers* running, const config::settings* in_force) {
  prepared made;
  auto loaded = config::load(config_path);
  if (!loaded) {
    made.errors = config::to_text(loaded.error());
    return made;
  }
  made.loaded = std::move(*loaded);
  made.warnings = config::to_text(made.loaded->warnings);
  policy_report report;
  if (in_force != nullptr)
    keep_listeners(made.loaded->settings, *in_force);
  made.policy = make_policy(made.loaded->settings, clock::system().wall(), report);
  for (auto& one : report.errors)
    made.errors += config_path + ": " + one.text() + "\n";
  for (auto& one : report.warnings)
    made.warnings += config_path + ": " + one + "\n";
  if (running == nullptr) {
    made.providers = std::make_unique<providers>(made.loaded->settings);
    running = made.providers.get();
  }
  made.plan = running->plan(*made.loaded);
  made.errors += config::to_text(made.plan.errors);
  made.warnings += config::to_text(made.plan.warnings);
  return made;
}

} // namespace hedwig::app
