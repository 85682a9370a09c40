// SPDX-License-Identifier: Apache-2.0
#include "runtime/smtp/user_senders.hpp"

#include <algorithm>

#include "runtime/base/ascii.hpp"

namespace hedwig::smtp {

namespace {

bool is_below(std::string_view tail, std::string_view domain) {
  return domain.size() > tail.size() && ascii::equal_ignoring_case(domain.substr(domain.size() - tail.size()), tail);
}

bool domain_fits(std::string_view pattern, const std::string& domain) {
  bool below = pattern.starts_with("*.");
  auto key = mail::domain_key(below ? pattern.substr(2) : pattern);
  if (!key || domain.empty())
    return false;
  return below ? is_below("." + *key, domain) : *key == domain;
}

bool fits(std::string_view pattern, const mail::address& sender) {
  if (pattern == "*")
    return true;
  if (pattern.starts_with('@'))
    return domain_fits(pattern.substr(1), sender.domain_key());
  if (!pattern.contains('@')) // "*.b.example", as other lists of domains have it
    return !pattern.empty() && domain_fits(pattern, sender.domain_key());
  auto wanted = mail::address::parse(pattern);
  return wanted && wanted->domain_key() == sender.domain_key() &&
         ascii::equal_ignoring_case(wanted->canonical_local_part(), sender.canonical_local_part());
}

} // namespace

bool may_use_sender(std::span<const std::string> patterns, const mail::address& sender) {
  return patterns.empty() || sender.empty() ||
         std::ranges::any_of(patterns, [&](auto& pattern) { return fits(pattern, sender); });
}

} // namespace hedwig::smtp
