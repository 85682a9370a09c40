// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace hedwig::app {

/// `hedwig server`: runs the relay until SIGTERM or SIGINT, drains it and returns the exit status. A second signal ends
/// at once. SIGHUP reads the configuration, keys and certificates again.
[[nodiscard]] int serve(const std::string& config_path);

} // namespace hedwig::app
