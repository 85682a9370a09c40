// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "runtime/base/clock.hpp"

namespace hedwig::smtp {

/// What one user may do; 0: without limit. Of a provider's answer at his login.
struct user_allowance {
  std::uint32_t connections = 0;
  std::uint32_t messages_per_hour = 0;
  std::uint32_t recipients_per_day = 0;

  [[nodiscard]] bool rates_are_free() const noexcept { return messages_per_hour == 0 && recipients_per_day == 0; }
};

/// What users did lately, over all their sessions. Bounded: above `users_max` the one without a session who did nothing
/// for longest is forgotten, and starts anew. Thread-safe.
///
/// A rate is that of the current hour (or day, from the process's own clock) and of the share of the one before that is
/// not over yet: what any window of that length can hold exceeds the limit by little, and never by the double.
class user_limits {
public:
  explicit user_limits(std::size_t users_max = 100'000) : users_max_{users_max} {}

  /// A session of the user begins; false when he has as many as he may, and then it does not count.
  [[nodiscard]] bool enter(const std::string& user, const user_allowance& may);
  /// It ends.
  void leave(const std::string& user);

  enum class verdict : std::uint8_t { within, messages, recipients };
  /// Whether one message more to so many recipients would be within the limits. Counts nothing.
  [[nodiscard]] verdict look(const std::string& user, const user_allowance& may, std::size_t recipients,
                             steady_time now);
  /// Counts it, where it is, and where a rate is limited at all.
  [[nodiscard]] verdict take(const std::string& user, const user_allowance& may, std::size_t recipients,
                             steady_time now);

  [[nodiscard]] std::size_t size() const;

private:
  /// Of one length of time, and of the one before.
  struct window {
    std::int64_t number = 0;
    std::uint64_t before = 0;
    std::uint64_t now = 0;
    [[nodiscard]] double rate(steady_time at, std::int64_t length);
  };
  struct record {
    std::string user;
    std::uint32_t sessions = 0;
    window messages;
    window recipients;
  };
  using place = std::list<record>::iterator;

  [[nodiscard]] record& of(const std::string& user);
  void forget_one();
  [[nodiscard]] static verdict judge(record& who, const user_allowance& may, std::size_t recipients, steady_time now);

  const std::size_t users_max_;
  mutable std::mutex mutex_;
  std::list<record> records_; // the one used last stands first
  std::unordered_map<std::string_view, place> by_user_;
};

} // namespace hedwig::smtp
