// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "app/spool.hpp"

#include <string_view>

namespace hedwig::app {

/// In the folder of a store that is being filled. It must not be served: the source has the same messages.
inline constexpr std::string_view migration_mark_name = ".migrating";

/// Copies every message from one store to another, which is empty or was left by a run that was interrupted; reads each
/// back; leaves the source as it is. Returns the exit status.
[[nodiscard]] int spool_migrate(const spool_setting& where, const spool_options& wanted);

} // namespace hedwig::app
