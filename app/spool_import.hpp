// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "app/spool.hpp"

namespace hedwig::app {

/// Puts exported messages, or plain ones with an envelope from the command line, into the spool; what is there already
/// is left alone. Returns the exit status.
[[nodiscard]] int spool_import(const spool_setting& where, const spool_options& wanted);

} // namespace hedwig::app
