// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "actors/policy.hpp"
#include "app/providers.hpp"
#include "runtime/config/load.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hedwig::app {

/// A configuration read and checked, with all that it names loaded; nothing is running yet.
struct prepared {
  std::optional<config::loaded> loaded;
  std::shared_ptr<const relay_policy> policy;
  std::unique_ptr<app::providers> providers;
  provider_plan plan;
  net::tls_commons tls;                   ///< for all policies of this process
  std::vector<config::diagnostic> errors; ///< sorted by place; empty: all is well
  std::vector<config::diagnostic> warnings;

  [[nodiscard]] bool ok() const noexcept { return errors.empty(); }
  /// Everything for a person: a line each, marked as error or warning.
  [[nodiscard]] std::string text() const;
};

[[nodiscard]] net::handshake_limits handshake_limits_of(const config::tls_process_settings& tls);

/// Reads everything and reports all errors at once, those of later steps included where they can be known.
[[nodiscard]] prepared prepare(const std::string& config_path);

/// What a running relay makes of its changed file. `next` holds the settings in force with the reloadable ones of the
/// file; its errors are those of the whole file, which could otherwise not be started with any more.
struct prepared_reload {
  prepared next;
  config::reload_plan changes;
};

[[nodiscard]] prepared_reload prepare_reload(const std::string& config_path, const config::loaded& in_force,
                                             providers& running, const net::tls_commons& tls);

} // namespace hedwig::app
