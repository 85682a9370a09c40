// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace hedwig::check {

/// "30s", "5m", "1h30m" in nanoseconds.
std::optional<std::int64_t> duration_of(std::string_view text);
/// "64MiB", "1GB" or a bare number, in bytes.
std::optional<std::int64_t> size_of(std::string_view text);

} // namespace hedwig::check
