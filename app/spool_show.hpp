// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "app/spool.hpp"

namespace hedwig::app {

/// Prints envelope, recipients and header of one message, or its bytes. Returns the exit status.
[[nodiscard]] int spool_show(const spool_setting& where, const spool_options& wanted);

} // namespace hedwig::app
