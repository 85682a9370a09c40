// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>

#include "runtime/base/clock.hpp"
#include "runtime/smtp/rate_window.hpp"
#include "runtime/smtp/recent_records.hpp"

namespace hedwig::smtp {

/// What one user may do; 0: without limit. Of a provider's answer at his login.
struct user_allowance {
  std::uint32_t connections = 0;
  std::uint32_t messages_per_hour = 0;
  std::uint32_t recipients_per_day = 0;

  [[nodiscard]] bool rates_are_free() const noexcept { return messages_per_hour == 0 && recipients_per_day == 0; }
};

/// What users did lately, over all their sessions. Bounded: above `users_max` the one without a session who did nothing
/// for longest is forgotten, and starts anew. Rates are those of rate_window. Thread-safe.
class user_limits {
public:
  explicit user_limits(std::size_t users_max = 100'000) : records_{users_max} {}

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
  struct record {
    std::uint32_t sessions = 0;
    rate_window messages;
    rate_window recipients;
    [[nodiscard]] bool in_use() const noexcept { return sessions != 0; }
  };

  [[nodiscard]] static verdict judge(record& who, const user_allowance& may, std::size_t recipients, steady_time now);

  mutable std::mutex mutex_;
  recent_records<record> records_;
};

} // namespace hedwig::smtp
