// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "app/spool.hpp"

namespace hedwig::app {

/// Prints messages, octets and the oldest by state. Returns the exit status.
[[nodiscard]] int spool_stats(const spool_setting& where, const spool_options& wanted);

} // namespace hedwig::app
