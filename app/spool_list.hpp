// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "app/spool.hpp"

namespace hedwig::app {

/// Prints one line a message, by due time, and the cursor to go on with. Returns the exit status.
[[nodiscard]] int spool_list(const spool_setting& where, const spool_options& wanted);

} // namespace hedwig::app
