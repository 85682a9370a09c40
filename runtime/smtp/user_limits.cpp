// SPDX-License-Identifier: Apache-2.0
#include "runtime/smtp/user_limits.hpp"

#include <chrono>

namespace hedwig::smtp {

namespace {

constexpr std::int64_t hour_length = std::chrono::nanoseconds{std::chrono::hours{1}}.count();
constexpr std::int64_t day_length = 24 * hour_length;

} // namespace

bool user_limits::enter(const std::string& user, const user_allowance& may) {
  std::lock_guard lock{mutex_};
  auto& who = records_.of(user);
  if (may.connections != 0 && who.sessions >= may.connections)
    return false;
  ++who.sessions;
  return true;
}

void user_limits::leave(const std::string& user) {
  std::lock_guard lock{mutex_};
  if (auto* found = records_.find(user); found != nullptr && found->sessions > 0)
    --found->sessions;
}

user_limits::verdict user_limits::judge(record& who, const user_allowance& may, std::size_t recipients,
                                        steady_time now) {
  auto messages = who.messages.rate(now, hour_length) + 1;
  auto all_recipients = who.recipients.rate(now, day_length) + static_cast<double>(recipients);
  if (may.messages_per_hour != 0 && messages > may.messages_per_hour)
    return verdict::messages;
  if (may.recipients_per_day != 0 && all_recipients > may.recipients_per_day)
    return verdict::recipients;
  return verdict::within;
}

user_limits::verdict user_limits::look(const std::string& user, const user_allowance& may, std::size_t recipients,
                                       steady_time now) {
  if (may.rates_are_free())
    return verdict::within;
  std::lock_guard lock{mutex_};
  return judge(records_.of(user), may, recipients, now);
}

user_limits::verdict user_limits::take(const std::string& user, const user_allowance& may, std::size_t recipients,
                                       steady_time now) {
  if (may.rates_are_free())
    return verdict::within;
  std::lock_guard lock{mutex_};
  auto& who = records_.of(user);
  auto found = judge(who, may, recipients, now);
  if (found == verdict::within) {
    who.messages.add(1);
    who.recipients.add(recipients);
  }
  return found;
}

std::size_t user_limits::size() const {
  std::lock_guard lock{mutex_};
  return records_.size();
}

} // namespace hedwig::smtp
