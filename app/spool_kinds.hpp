// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/base/error.hpp"
#include "runtime/config/load.hpp"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace hedwig::app {

/// The stores of this project whose files stand in a folder, by the names of those files alone.
[[nodiscard]] std::vector<std::string> stores_in(const std::filesystem::path& folder);

/// Renames what a store has in a folder, so that no store takes it for its own: each name to ".migrated-NAME", as
/// Hedwig 0.10 does after its own migration.
[[nodiscard]] result<void> retire_spool(const std::filesystem::path& folder, std::string_view store);

/// For each store but the configured one that has mail in `storage.base_path`, where nobody would look at it: what is
/// there and what to do, a line without an end. Opens those spools, for reading only.
[[nodiscard]] std::vector<std::string> stranded_spools(const config::loaded& file);

} // namespace hedwig::app
