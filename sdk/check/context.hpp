// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "sdk/check/plugin_file.hpp"
#include "sdk/check/settings.hpp"

namespace hedwig::check {

enum class effort { brief, normal, thorough };

/// What a test has in hand.
class context {
public:
  context(const provider_choice& chosen, const settings_file& settings, std::string folder, std::string unique,
          std::uint64_t seed, effort how_much)
    : chosen_{chosen}, settings_{settings}, folder_{std::move(folder)}, unique_{std::move(unique)}, seed_{seed},
      effort_{how_much} {}

  /// Not for tests that run without the plugin's code.
  const hedwig_provider& provider() const { return *chosen_.provider; }
  const provider_choice& chosen() const { return chosen_; }
  const settings_file& settings() const { return settings_; }
  /// The plugin's settings with {folder} and {unique} filled in. Throws unusable, or skipped when some are
  /// required and no file was given.
  std::shared_ptr<const hedwig_config> config() const { return settings_.read(provider(), folder_, unique_); }
  /// The same with check.outage in force; null where the file has none.
  std::shared_ptr<const hedwig_config> outage() const { return settings_.read_outage(provider(), folder_, unique_); }
  /// An empty folder of this test's own, gone after it.
  const std::string& folder() const { return folder_; }
  const std::string& unique() const { return unique_; }
  std::uint64_t seed() const { return seed_; }
  template <class T>
  T pick(T brief, T normal, T thorough) const {
    return effort_ == effort::brief ? brief : effort_ == effort::normal ? normal : thorough;
  }
  effort how_much() const { return effort_; }

private:
  const provider_choice& chosen_;
  const settings_file& settings_;
  std::string folder_;
  std::string unique_;
  std::uint64_t seed_;
  effort effort_;
};

} // namespace hedwig::check
