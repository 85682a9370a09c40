// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "actors/context.hpp"
#include "app/metric_bridge.hpp"
#include "runtime/config/load.hpp"
#include "runtime/plugin/host.hpp"
#include "runtime/plugin/loader.hpp"

#include <memory>
#include <string>
#include <vector>

namespace hedwig::app {

/// One provider that the configuration names, with its settings checked; not yet created.
struct planned_provider {
  plugin::provider_ref provider;
  plugin::instance_settings settings;
  std::shared_ptr<const hedwig_config> config;
  config::failure_action on_failure = config::failure_action::tempfail;
};

/// All providers of one configuration.
struct provider_plan {
  std::vector<planned_provider> storage; ///< one
  std::vector<planned_provider> auth;
  std::vector<planned_provider> filters;
  std::vector<config::diagnostic> errors;
  std::vector<config::diagnostic> warnings;
};

/// Where plugins are looked for: what the settings say, then those that were installed, or built, together with this
/// program.
[[nodiscard]] std::vector<std::string> plugin_directories(const config::settings& settings);

/// The providers running.
class providers {
public:
  explicit providers(const config::settings& settings);

  /// Loads the plugins that `loaded` names and checks their settings. Runs no provider.
  [[nodiscard]] provider_plan plan(const config::loaded& loaded);
  /// What of the settings of those that run may change, for plan_reload().
  [[nodiscard]] config::reload_options reload_options();
  /// What plugins look up names with: set before start(), null before it goes.
  void use_resolver(dns::resolver* resolver) { host_->use_resolver(resolver); }
  /// Where plugins count: set before start(), null after stop().
  void use_metrics(telemetry::metrics* metrics) { metrics_->attach(metrics); }
  /// Creates and starts them; the store first. An error names the provider.
  [[nodiscard]] result<relay_plugins> start(const provider_plan& plan);
  /// Hands reloadable settings to those that run under the same name.
  void reload(const provider_plan& plan);
  /// In reverse order.
  void stop();

private:
  [[nodiscard]] result<std::shared_ptr<plugin::instance>> start_one(const planned_provider& what);
  [[nodiscard]] bool key_changes(std::string_view list, std::string_view use, std::string_view key);

  std::string base_path_;
  std::shared_ptr<metric_bridge> metrics_ = std::make_shared<metric_bridge>();
  std::shared_ptr<plugin::host> host_;
  plugin::catalogue catalogue_;
  std::vector<std::shared_ptr<plugin::instance>> running_;
};

} // namespace hedwig::app
