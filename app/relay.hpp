// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "actors/policy.hpp"
#include "app/providers.hpp"
#include "runtime/config/load.hpp"

#include <memory>
#include <optional>
#include <string>

namespace hedwig::app {

/// A configuration read and checked, with all that it names loaded; nothing is running yet.
struct prepared {
  std::optional<config::loaded> loaded;
  std::shared_ptr<const relay_policy> policy;
  std::unique_ptr<app::providers> providers;
  provider_plan plan;
  std::string errors; ///< for a person, one a line; empty: all is well
  std::string warnings;

  [[nodiscard]] bool ok() const noexcept { return errors.empty(); }
};

/// Reads everything and reports all errors at once, those of later steps included where they can be known. For a relay
/// that reloads: `running` keeps its plugin host, and `in_force` its listeners: they stay the ones that listen, in
/// their order, each with the new rules for its address; rules for other addresses wait for a restart.
[[nodiscard]] prepared prepare(const std::string& config_path, providers* running = nullptr,
                               const config::settings* in_force = nullptr);

} // namespace hedwig::app
