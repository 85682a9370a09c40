// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "runtime/config/diagnostic.hpp"
#include "runtime/config/node.hpp"

namespace hedwig::config {

/// TOML to nodes with exact places. One syntax error ends the reading.
[[nodiscard]] std::expected<node, diagnostic> read_toml(std::string_view text, const std::string& file);
/// JSON to nodes with exact places; a key that stands twice in an object is an error, as it is in TOML.
[[nodiscard]] std::expected<node, diagnostic> read_json(std::string_view text, const std::string& file);

} // namespace hedwig::config
