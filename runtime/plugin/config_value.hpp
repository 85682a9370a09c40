// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <expected>
#include <optional>
#include <string>

#include "runtime/plugin/checked_config.hpp"

namespace hedwig::plugin {

/// Reads one value (not tables) as its key wants it, or says what is wrong and what to write.
[[nodiscard]] std::expected<hedwig_config::value, std::string>
read_value(const hedwig_config_key& key, const config::node& written, const config_source& source);

/// The value of `default_value`; none when there is no default, an empty list for tables.
[[nodiscard]] std::optional<hedwig_config::value> default_value(const hedwig_config_key& key,
                                                                const config_source& source);

/// What is wrong with a default; empty: nothing.
[[nodiscard]] std::string default_fault(const hedwig_config_key& key);

/// "string", "duration", "list of strings".
[[nodiscard]] std::string_view type_name(int type) noexcept;

} // namespace hedwig::plugin
