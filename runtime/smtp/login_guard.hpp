// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "runtime/base/clock.hpp"
#include "runtime/smtp/recent_records.hpp"

namespace hedwig::smtp {

/// How many failed logins are too many; 0: without limit.
struct login_limits {
  std::uint32_t failures_per_address = 0;
  std::uint32_t failures_per_user = 0;
  std::chrono::nanoseconds window{}; ///< in which they are counted, from the first on
  std::chrono::nanoseconds lockout{};
};

/// Failed logins of addresses and of user names, whether somebody has the name or not, and who is locked out for them.
/// Bounded: above `entries_max` addresses, or names, the one that was seen least lately is forgotten. Thread-safe.
///
/// A user who is locked out may still log in from where he did lately, so that guessing from elsewhere does not keep
/// him out.
class login_guard {
public:
  explicit login_guard(std::size_t entries_max = 100'000) : addresses_{entries_max}, users_{entries_max} {}

  /// What counts as one address: all 4 octets, or the /64 that they are in, of the 16 of IPv6.
  [[nodiscard]] static std::string key_of(std::span<const std::uint8_t> address);

  enum class verdict : std::uint8_t { open, address_locked, user_locked };
  /// Whether a login may be tried. `address` of key_of(), or empty: not counted; so is an empty user. Where both are
  /// locked, it says the user: an address may be let off.
  [[nodiscard]] verdict look(const std::string& address, std::string_view user, steady_time now);
  /// Counts one that failed. What it locks out that was open before; nothing: open.
  [[nodiscard]] verdict failed(const std::string& address, std::string_view user, const login_limits& limits,
                               steady_time now);
  /// The user is known there from now on.
  void succeeded(const std::string& address, std::string_view user);

  [[nodiscard]] std::size_t addresses() const;
  [[nodiscard]] std::size_t users() const;

  static constexpr std::size_t known_addresses_max = 4; ///< of one user; the oldest goes

private:
  struct record {
    std::uint32_t failures = 0;
    steady_time first{};
    steady_time locked_until{};
    std::array<std::string, known_addresses_max> known_at{}; // of a user; the newest first
    [[nodiscard]] bool count(std::uint32_t limit, const login_limits& limits, steady_time now);
    [[nodiscard]] bool is_known_at(const std::string& address) const;
    [[nodiscard]] static bool in_use() noexcept { return false; }
  };

  mutable std::mutex mutex_;
  recent_records<record> addresses_;
  recent_records<record> users_;
};

} // namespace hedwig::smtp
