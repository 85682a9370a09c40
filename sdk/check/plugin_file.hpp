// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/plugin.h>

#include <string>
#include <string_view>
#include <vector>

namespace hedwig::check {

/// A provider of a plugin; plugins are never unloaded.
struct provider_choice {
  std::string file;
  std::string name;                          ///< of the provider
  const hedwig_plugin* plugin = nullptr;     ///< null in a process that has not loaded the file
  const hedwig_provider* provider = nullptr; ///< the same
};

/// Loads the file and finds the provider called `name`, or with an empty name the first that offers `interface_id`
/// (any, if that is empty). Throws unusable, with what to do.
provider_choice load_provider(const std::string& file, std::string_view name, std::string_view interface_id);

/// The entry of a file. Throws unusable.
decltype(&hedwig_plugin_v1) entry_of(const std::string& file);

/// What a plugin says of itself.
struct plugin_summary {
  struct offer {
    std::string name;
    std::string interface_id;
  };
  std::string file;
  std::string id;
  std::string version;
  std::vector<offer> providers;
  std::string trouble; ///< why it cannot be loaded; then the rest is empty

  /// As load_provider(), but nothing is loaded.
  provider_choice choose(std::string_view name, std::string_view interface_id) const;
};

/// Loads the file. Throws unusable.
plugin_summary summary_of(const std::string& file);
/// One line each, and back.
std::string write_down(const plugin_summary& one);
plugin_summary read_summary(const std::string& file, const std::string& text);

} // namespace hedwig::check
