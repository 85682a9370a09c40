// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "app/spool.hpp"

namespace hedwig::app {

/// Reads every message, checksums, metadata and body, and tells of each damaged one: its id, its state, and why. With
/// --set-aside those go to quarantine with the reason. Returns the exit status: exit_failed when damage was found.
[[nodiscard]] int spool_verify(const spool_setting& where, const spool_options& wanted);

} // namespace hedwig::app
