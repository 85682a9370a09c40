// SPDX-License-Identifier: Apache-2.0
#include "runtime/smtp/login_guard.hpp"

#include <algorithm>

#include "runtime/base/ascii.hpp"

namespace hedwig::smtp {

namespace {

/// Other spellings of a name are the same account to many directories: in other cases, and with more spaces (RFC 4518
/// section 2.6.1; CHAR columns), so that those do not give as many more guesses.
std::string user_key(std::string_view user) {
  std::string key;
  for (char c : user)
    if (c != ' ' || (!key.empty() && key.back() != ' '))
      key += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  if (key.ends_with(' '))
    key.pop_back();
  return key;
}

} // namespace

std::string login_guard::key_of(std::span<const std::uint8_t> address) {
  auto counted = address.first(address.size() == 16 ? 8 : address.size());
  return {counted.begin(), counted.end()};
}

bool login_guard::record::count(std::uint32_t limit, const login_limits& limits, steady_time now) {
  if (limit == 0)
    return false;
  if (failures == 0 || now - first > limits.window) {
    failures = 0;
    first = now;
  }
  if (++failures < limit)
    return false;
  failures = 0;
  locked_until = now + limits.lockout;
  return true;
}

bool login_guard::record::is_known_at(const std::string& address) const {
  return !address.empty() && std::ranges::find(known_at, address) != known_at.end();
}

login_guard::verdict login_guard::look(const std::string& address, std::string_view user, steady_time now) {
  std::lock_guard lock{mutex_};
  auto* of_user = user.empty() ? nullptr : users_.find(user_key(user));
  if (of_user != nullptr && now < of_user->locked_until && !of_user->is_known_at(address))
    return verdict::user_locked;
  auto* of_address = address.empty() ? nullptr : addresses_.find(address);
  return of_address != nullptr && now < of_address->locked_until ? verdict::address_locked : verdict::open;
}

login_guard::verdict login_guard::failed(const std::string& address, std::string_view user, const login_limits& limits,
                                         steady_time now) {
  std::lock_guard lock{mutex_};
  auto user_locked = !user.empty() && limits.failures_per_user != 0 &&
                     users_.of(user_key(user)).count(limits.failures_per_user, limits, now);
  auto address_locked = !address.empty() && limits.failures_per_address != 0 &&
                        addresses_.of(address).count(limits.failures_per_address, limits, now);
  return address_locked ? verdict::address_locked : user_locked ? verdict::user_locked : verdict::open;
}

void login_guard::succeeded(const std::string& address, std::string_view user) {
  if (address.empty() || user.empty())
    return;
  std::lock_guard lock{mutex_};
  auto& known = users_.of(user_key(user)).known_at;
  auto at = std::ranges::find(known, address);
  if (at == known.end()) {
    at = std::prev(known.end());
    *at = address;
  }
  std::rotate(known.begin(), at, std::next(at));
}

std::size_t login_guard::addresses() const {
  std::lock_guard lock{mutex_};
  return addresses_.size();
}

std::size_t login_guard::users() const {
  std::lock_guard lock{mutex_};
  return users_.size();
}

} // namespace hedwig::smtp
