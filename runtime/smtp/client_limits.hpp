// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "runtime/base/clock.hpp"
#include "runtime/smtp/rate_window.hpp"
#include "runtime/smtp/recent_records.hpp"

namespace hedwig::smtp {

/// Whose connections and messages are counted together.
enum class counted_by : std::uint8_t {
  address,       ///< one IPv4 address, or one /64 of IPv6
  network,       ///< one /24 of IPv4, or one /48 of IPv6
  listener,      ///< one address of ours
  user,          ///< one identity
  sender_domain, ///< the domain of MAIL FROM
};
inline constexpr std::size_t counted_by_size = 5;

/// What is counted; also the place of its limit in counted_limits.
enum class counted_what : std::uint8_t {
  connections, ///< at one time
  connections_per_minute,
  messages_per_minute,
  messages_per_day,
  recipients_per_minute,
  recipients_per_day,
};
inline constexpr std::size_t counted_what_size = 6;

[[nodiscard]] std::string_view to_string_view(counted_by by) noexcept;
[[nodiscard]] std::string_view to_string_view(counted_what what) noexcept;

/// By counted_what; 0: without limit.
using counted_limits = std::array<std::uint32_t, counted_what_size>;

[[nodiscard]] constexpr std::uint32_t limit_of(const counted_limits& limits, counted_what what) noexcept {
  return limits[static_cast<std::size_t>(what)];
}
[[nodiscard]] constexpr bool limits_connections(const counted_limits& limits) noexcept {
  return limit_of(limits, counted_what::connections) != 0 ||
         limit_of(limits, counted_what::connections_per_minute) != 0;
}
[[nodiscard]] constexpr bool limits_mail(const counted_limits& limits) noexcept {
  return limit_of(limits, counted_what::messages_per_minute) != 0 ||
         limit_of(limits, counted_what::messages_per_day) != 0 ||
         limit_of(limits, counted_what::recipients_per_minute) != 0 ||
         limit_of(limits, counted_what::recipients_per_day) != 0;
}

/// One of those that a connection or a message counts for, and what they may.
struct counted {
  counted_by by = counted_by::address;
  std::string key; ///< of key_of() or key_of_name()
  counted_limits may{};
};

/// How many connections, messages and recipients there were lately, of addresses, networks, listeners, users and sender
/// domains. Only what has a limit is counted. Bounded: above `entries_max` the one without a connection that did
/// nothing for longest is forgotten, and starts anew. Rates are those of rate_window. Thread-safe.
class client_limits {
public:
  explicit client_limits(std::size_t entries_max = 100'000) : records_{entries_max} {}

  /// `address`: 4 or 16 octets; `by`: address or network.
  [[nodiscard]] static std::string key_of(counted_by by, std::span<const std::uint8_t> address);
  /// Of the others.
  [[nodiscard]] static std::string key_of_name(counted_by by, std::string_view name);

  /// Which limit stands in the way.
  struct refusal {
    counted_by by;
    counted_what what;
  };
  /// A connection begins; nothing is counted where it is refused. Null: it may.
  [[nodiscard]] std::optional<refusal> enter(std::span<const counted> who, steady_time now);
  /// One that was let in ends.
  void leave(std::span<const counted> who);
  /// Whether one message more to so many recipients is within the limits. Counts nothing.
  [[nodiscard]] std::optional<refusal> look(std::span<const counted> who, std::size_t recipients, steady_time now);
  /// Counts it where it is.
  [[nodiscard]] std::optional<refusal> take(std::span<const counted> who, std::size_t recipients, steady_time now);

  [[nodiscard]] std::size_t size() const;

private:
  struct record {
    std::uint32_t connections = 0;
    std::array<rate_window, counted_what_size - 1> rates{}; // by counted_what, behind `connections`
    [[nodiscard]] bool in_use() const noexcept { return connections != 0; }
    [[nodiscard]] rate_window& rate_of(counted_what what) { return rates[static_cast<std::size_t>(what) - 1]; }
    /// Whether `more` of it are too many.
    [[nodiscard]] bool is_over(counted_what what, const counted_limits& may, std::size_t more, steady_time now);
  };

  [[nodiscard]] std::optional<refusal> judge_mail(std::span<const counted> who, std::size_t recipients,
                                                  steady_time now);

  mutable std::mutex mutex_;
  recent_records<record> records_;
};

} // namespace hedwig::smtp
