// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "actors/supervisor.hpp"
#include "runtime/config/settings.hpp"

namespace hedwig::app {

/// Listening sockets that the service manager opened for us (LISTEN_PID, LISTEN_FDS; sd_listen_fds(3)), matched to the
/// listeners of the configuration by address. Sockets that fit no listener are closed, with a warning in the log.
[[nodiscard]] inherited_sockets inherited_listeners(const config::settings& settings);

} // namespace hedwig::app
