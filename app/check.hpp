// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace hedwig::app {

/// `hedwig check`: reads the configuration, the keys and certificates it names and the settings of its providers, and
/// prints every error and warning. Starts nothing. Returns the exit status: 2 with errors.
[[nodiscard]] int check(const std::string& config_path);

} // namespace hedwig::app
