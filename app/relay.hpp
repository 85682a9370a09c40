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
  std::string errors;   ///< for a person, one a line; empty: all is well
  std::string warnings;

  [[nodiscard]] bool ok() const noexcept { return errors.empty(); }
};

/// Reads everything and reports all errors at once, those of later steps included where they can be known. `running`
/// keeps the plugin host of a relay that reloads.
[[nodiscard]] prepared prepare(const std::string& config_path, providers* running = nullptr);

} // namespace hedwig::app
