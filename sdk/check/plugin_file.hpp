// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/plugin.h>

#include <string>
#include <string_view>

namespace hedwig::check {

/// A provider of a plugin that has been loaded; plugins are never unloaded.
struct provider_choice {
  std::string file;
  const hedwig_plugin* plugin = nullptr;
  const hedwig_provider* provider = nullptr;
};

/// Loads the file and finds the provider called `name`, or with an empty name the first that offers `interface_id`
/// (any, if that is empty). Throws unusable, with what to do.
provider_choice load_provider(const std::string& file, std::string_view name, std::string_view interface_id);

} // namespace hedwig::check
