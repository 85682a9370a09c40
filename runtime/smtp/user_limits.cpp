// SPDX-License-Identifier: Apache-2.0
#include "runtime/smtp/user_limits.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace hedwig::smtp {

namespace {

constexpr std::int64_t hour_length = std::chrono::nanoseconds{std::chrono::hours{1}}.count();
constexpr std::int64_t day_length = 24 * hour_length;
/// Records looked at for one without a session.
constexpr int forget_tries = 64;

} // namespace

double user_limits::window::rate(steady_time at, std::int64_t length) {
  auto since = at.time_since_epoch().count();
  auto current = since / length;
  if (current != number) {
    before = current == number + 1 ? now : 0;
    now = 0;
    number = current;
  }
  auto left = 1.0 - static_cast<double>(since % length) / static_cast<double>(length);
  return static_cast<double>(before) * left + static_cast<double>(now);
}

user_limits::record& user_limits::of(const std::string& user) {
  if (auto found = by_user_.find(user); found != by_user_.end()) {
    records_.splice(records_.begin(), records_, found->second);
    return records_.front();
  }
  if (records_.size() >= users_max_)
    forget_one();
  records_.emplace_front();
  records_.front().user = user;
  by_user_.emplace(records_.front().user, records_.begin());
  return records_.front();
}

void user_limits::forget_one() {
  // Who has a session stays, so the number of those is the limit of connections at most.
  for (int i = 0; i < forget_tries && !records_.empty(); ++i) {
    auto last = std::prev(records_.end());
    if (last->sessions == 0) {
      by_user_.erase(last->user);
      records_.erase(last);
      return;
    }
    records_.splice(records_.begin(), records_, last);
  }
}

bool user_limits::enter(const std::string& user, const user_allowance& may) {
  std::lock_guard lock{mutex_};
  auto& who = of(user);
  if (may.connections != 0 && who.sessions >= may.connections)
    return false;
  ++who.sessions;
  return true;
}

void user_limits::leave(const std::string& user) {
  std::lock_guard lock{mutex_};
  if (auto found = by_user_.find(user); found != by_user_.end() && found->second->sessions > 0)
    --found->second->sessions;
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
  return judge(of(user), may, recipients, now);
}

user_limits::verdict user_limits::take(const std::string& user, const user_allowance& may, std::size_t recipients,
                                       steady_time now) {
  if (may.rates_are_free())
    return verdict::within;
  std::lock_guard lock{mutex_};
  auto& who = of(user);
  auto found = judge(who, may, recipients, now);
  if (found == verdict::within) {
    ++who.messages.now;
    who.recipients.now += recipients;
  }
  return found;
}

std::size_t user_limits::size() const {
  std::lock_guard lock{mutex_};
  return records_.size();
}

} // namespace hedwig::smtp
