// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace hedwig::app {

/// One message of the protocol of sd_notify(3), such as "READY=1", to the socket that NOTIFY_SOCKET names; nothing
/// where there is none. Never blocks; a message that cannot be sent is lost, with a warning in the log. Thread: any.
void tell_service_manager(std::string_view state);

} // namespace hedwig::app
