// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "app/spool.hpp"

namespace hedwig::app {

/// Writes messages as ID.eml and ID.json, which spool_import() takes back. Returns the exit status.
[[nodiscard]] int spool_export(const spool_setting& where, const spool_options& wanted);

} // namespace hedwig::app
