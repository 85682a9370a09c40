// SPDX-License-Identifier: Apache-2.0
#include "app/relay.hpp"

#include "runtime/config/diagnostic.hpp"

namespace hedwig::app {

prepared prepare(const std::string& config_path, providers* running) {
  prepared made;
  auto loaded = config::load(config_path);
  if (!loaded) {
    made.errors = config::to_text(loaded.error());
    return made;
  }
  made.loaded = std::move(*loaded);
  made.warnings = config::to_text(made.loaded->warnings);
  policy_report report;
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
