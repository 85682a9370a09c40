// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/base/clock.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hedwig::smtp {

/// MT-PRIORITY (RFC 6710).
inline constexpr int priority_min = -9;
inline constexpr int priority_max = 9;
/// Digits of a by-time (RFC 2852 section 4) and of a hold-for interval (RFC 4865 section 4).
inline constexpr std::size_t interval_digits_max = 9;

/// BY= of RFC 2852.
struct deliver_by_request {
  std::chrono::seconds within{0}; ///< may be negative where it does not return the message
  bool return_it = false;         ///< by-mode R: undelivered by then, it goes back; else (N) its sender is told
  bool trace = false;             ///< every relay tells that it has passed it on

  friend bool operator==(const deliver_by_request&, const deliver_by_request&) = default;
};

/// "-9" to "9", as RFC 6710 section 3 writes them.
[[nodiscard]] std::optional<int> parse_priority(std::string_view text) noexcept;
/// "120;R", "-60;NT". R with no time left is no request.
[[nodiscard]] std::optional<deliver_by_request> parse_deliver_by(std::string_view text) noexcept;
[[nodiscard]] std::optional<std::chrono::seconds> parse_hold_for(std::string_view text) noexcept;
/// RFC 3339 section 5.6: "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.25+02:00". Fractions of a second are dropped.
[[nodiscard]] std::optional<wall_time> parse_date_time(std::string_view text) noexcept;
/// The other way, in UTC.
[[nodiscard]] std::string date_time_text(wall_time when);

} // namespace hedwig::smtp
