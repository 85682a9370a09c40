// SPDX-License-Identifier: Apache-2.0
#include "policy.hpp"

#include <algorithm>

#include "text.hpp"

namespace hedwig::auth_ldap {

namespace {

bool applies(const rule& one, const entry& user, const std::vector<group>& groups) {
  auto in_group = [&](const group& of) { return same_text(of.name, one.group) || same_text(of.dn, one.group); };
  if (!one.group.empty() && std::ranges::none_of(groups, in_group))
    return false;
  if (one.attribute.empty())
    return true;
  auto values = user.values(one.attribute);
  return one.value.empty() ? !values.empty()
                           : std::ranges::any_of(values, [&](auto& value) { return same_text(value, one.value); });
}

template <class Number>
void set_where_unset(Number& to, Number from) {
  if (to == 0)
    to = from;
}

void add_limits(hedwig_auth_limits& to, const hedwig_auth_limits& from) {
  set_where_unset(to.connections, from.connections);
  set_where_unset(to.message_size, from.message_size);
  set_where_unset(to.recipients_per_message, from.recipients_per_message);
  set_where_unset(to.messages_per_hour, from.messages_per_hour);
  set_where_unset(to.recipients_per_day, from.recipients_per_day);
}

/// "SMTP:a@b.example" of proxyAddresses is an address, "x500:..." is none.
std::string_view address_of(std::string_view value) {
  if (auto colon = value.find(':'); colon != std::string_view::npos)
    value = same_text(value.substr(0, colon), "smtp") ? value.substr(colon + 1) : std::string_view{};
  return value.find('@') == std::string_view::npos ? std::string_view{} : value;
}

void add_senders_of_attributes(std::vector<std::string>& senders, const settings& from, const entry& user) {
  for (auto& attribute : from.sender_attributes)
    for (auto& value : user.values(attribute))
      // Not a pattern, whatever the directory holds.
      if (auto address = address_of(value); !address.empty() && address.front() != '@' && !address.contains('*'))
        senders.push_back(lower(address));
}

/// A name with a sign that means something in a pattern could stand for more addresses than one.
bool fits_in_pattern(std::string_view name) { return name.find_first_of("*@") == std::string_view::npos; }

void add_senders_of_rule(std::vector<std::string>& senders, const rule& one, std::string_view login,
                         std::string_view identity) {
  auto local = login.substr(0, login.rfind('@'));
  for (auto& pattern : one.senders) {
    auto uses = [&](std::string_view name) { return pattern.find(name) != std::string::npos; };
    if ((uses("{user}") && !fits_in_pattern(login)) || (uses("{local}") && !fits_in_pattern(local)) ||
        (uses("{identity}") && !fits_in_pattern(identity)))
      continue;
    senders.push_back(lower(fill(pattern, {{"user", login}, {"local", local}, {"identity", identity}})));
  }
}

} // namespace

std::string identity_of(const settings& from, const entry& user) {
  for (auto& attribute : from.identity_attributes)
    if (auto value = user.value(attribute); is_name(value))
      return lower(value);
  return {};
}

sdk::identity judge(const settings& from, const entry& user, const std::vector<group>& groups, std::string_view login,
                    std::string identity) {
  sdk::identity who{.name = std::move(identity)};
  hedwig_auth_limits limits{};
  limits.struct_size = sizeof limits;
  bool restricted = !from.sender_attributes.empty() ||
                    std::ranges::any_of(from.rules, [](auto& one) { return !one.senders.empty(); });
  bool any_rule = false;
  add_senders_of_attributes(who.senders, from, user);
  for (auto& one : from.rules) {
    if (!applies(one, user, groups))
      continue;
    if (one.deny)
      throw sdk::failure{HEDWIG_E_DENIED, one.group.empty() ? std::string{"a rule denies the user"}
                                                            : "a rule denies members of " + one.group};
    any_rule = true;
    add_senders_of_rule(who.senders, one, login, who.name);
    add_limits(limits, one.limits);
    for (auto& role : one.roles)
      who.attributes.emplace_back("role", role);
  }
  if (from.rule_required && !any_rule)
    throw sdk::failure{HEDWIG_E_DENIED, "no rule applies to the user, and rule_required is set"};
  if (std::ranges::find(who.senders, "*") != who.senders.end())
    who.senders.clear();
  else if (restricted && who.senders.empty())
    who.senders.emplace_back();
  for (auto& one : groups)
    who.groups.push_back(one.name);
  for (auto& attribute : from.attributes)
    for (auto& value : user.values(attribute))
      who.attributes.emplace_back(attribute, value);
  who.limits = limits;
  return who;
}

} // namespace hedwig::auth_ldap
