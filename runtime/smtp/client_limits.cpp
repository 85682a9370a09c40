// SPDX-License-Identifier: Apache-2.0
#include "runtime/smtp/client_limits.hpp"

#include <chrono>

namespace hedwig::smtp {

namespace {

constexpr std::int64_t minute_length = std::chrono::nanoseconds{std::chrono::minutes{1}}.count();
constexpr std::int64_t day_length_of_clients = 24 * 60 * minute_length;

constexpr std::int64_t window_length(counted_what what) noexcept {
  return what == counted_what::messages_per_day || what == counted_what::recipients_per_day ? day_length_of_clients
                                                                                            : minute_length;
}

constexpr counted_what mail_limits[] = {counted_what::messages_per_minute, counted_what::messages_per_day,
                                        counted_what::recipients_per_minute, counted_what::recipients_per_day};
constexpr bool counts_recipients(counted_what what) noexcept {
  return what == counted_what::recipients_per_minute || what == counted_what::recipients_per_day;
}

} // namespace

std::string_view to_string_view(counted_by by) noexcept {
  constexpr std::string_view words[] = {"address", "network", "listener", "user", "sender_domain"};
  return words[static_cast<std::size_t>(by)];
}

std::string_view to_string_view(counted_what what) noexcept {
  constexpr std::string_view words[] = {"connections",      "connections_per_minute", "messages_per_minute",
                                        "messages_per_day", "recipients_per_minute",  "recipients_per_day"};
  return words[static_cast<std::size_t>(what)];
}

std::string client_limits::key_of(counted_by by, std::span<const std::uint8_t> address) {
  auto six = address.size() == 16;
  auto octets = by == counted_by::network ? std::size_t{six ? 6u : 3u} : std::size_t{six ? 8u : 4u};
  std::string key{static_cast<char>('0' + static_cast<int>(by)), six ? '6' : '4'};
  key.append(address.begin(), address.begin() + static_cast<std::ptrdiff_t>(octets));
  return key;
}

std::string client_limits::key_of_name(counted_by by, std::string_view name) {
  return std::string{static_cast<char>('0' + static_cast<int>(by))}.append(name);
}

bool client_limits::record::is_over(counted_what what, const counted_limits& may, std::size_t more, steady_time now) {
  auto limit = limit_of(may, what);
  return limit != 0 && rate_of(what).rate(now, window_length(what)) + static_cast<double>(more) > limit;
}

std::optional<client_limits::refusal> client_limits::enter(std::span<const counted> who, steady_time now) {
  std::lock_guard lock{mutex_};
  for (auto& one : who) {
    if (!limits_connections(one.may))
      continue;
    auto& record = records_.of(one.key);
    auto most = limit_of(one.may, counted_what::connections);
    if (most != 0 && record.connections >= most)
      return refusal{one.by, counted_what::connections};
    if (record.is_over(counted_what::connections_per_minute, one.may, 1, now))
      return refusal{one.by, counted_what::connections_per_minute};
  }
  for (auto& one : who) {
    if (!limits_connections(one.may))
      continue;
    auto& record = records_.of(one.key);
    ++record.connections;
    record.rate_of(counted_what::connections_per_minute).add(1);
  }
  return std::nullopt;
}

void client_limits::leave(std::span<const counted> who) {
  std::lock_guard lock{mutex_};
  for (auto& one : who)
    if (limits_connections(one.may))
      if (auto* found = records_.find(one.key); found != nullptr && found->connections > 0)
        --found->connections;
}

std::optional<client_limits::refusal> client_limits::judge_mail(std::span<const counted> who, std::size_t recipients,
                                                                steady_time now) {
  for (auto& one : who) {
    if (!limits_mail(one.may))
      continue;
    auto& record = records_.of(one.key);
    for (auto what : mail_limits)
      if (record.is_over(what, one.may, counts_recipients(what) ? recipients : 1, now))
        return refusal{one.by, what};
  }
  return std::nullopt;
}

std::optional<client_limits::refusal> client_limits::look(std::span<const counted> who, std::size_t recipients,
                                                          steady_time now) {
  std::lock_guard lock{mutex_};
  return judge_mail(who, recipients, now);
}

std::optional<client_limits::refusal> client_limits::take(std::span<const counted> who, std::size_t recipients,
                                                          steady_time now) {
  std::lock_guard lock{mutex_};
  if (auto refused = judge_mail(who, recipients, now))
    return refused;
  for (auto& one : who) {
    if (!limits_mail(one.may))
      continue;
    auto& record = records_.of(one.key);
    for (auto what : mail_limits)
      if (limit_of(one.may, what) != 0)
        record.rate_of(what).add(counts_recipients(what) ? recipients : 1);
  }
  return std::nullopt;
}

std::size_t client_limits::size() const {
  std::lock_guard lock{mutex_};
  return records_.size();
}

} // namespace hedwig::smtp
