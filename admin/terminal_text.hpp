// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

/// Text for a terminal. Every function: any thread, no locale.
namespace hedwig::admin {

/// Printable whatever it holds: controls (C0, DEL, C1), what turns the direction of writing or is invisible, and octets
/// that are not UTF-8 (RFC 3629) become "\x1b" or "\u202e"; a backslash is doubled, so that nothing can look escaped.
[[nodiscard]] std::string escaped(std::string_view text);

/// Columns of a terminal that an escaped text takes, one a code point (two for wide East Asian ones and emoji).
[[nodiscard]] std::size_t width(std::string_view text) noexcept;
/// The text cut to `columns`, its last one "…" where something was cut.
[[nodiscard]] std::string shortened(std::string_view text, std::size_t columns);

/// "512 B", "10.0 KiB", "25.0 MiB".
[[nodiscard]] std::string bytes_text(std::uint64_t bytes);
/// "0s", "59s", "4m 10s", "3h 20m", "5d 3h"; "0s" below nothing.
[[nodiscard]] std::string span_text(std::int64_t seconds);
/// "0.4 ms", "1.2 s".
[[nodiscard]] std::string seconds_text(double seconds);

} // namespace hedwig::admin
