// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace hedwig::app {

/// `hedwig plugin list`: what the files in the plugin folders say of themselves, which of them could not be loaded and
/// why. Runs none of their code. Nothing where `arguments` are no `plugin` command, else the exit status.
[[nodiscard]] std::optional<int> plugin_command(const std::vector<std::string>& arguments);

} // namespace hedwig::app
