// SPDX-License-Identifier: Apache-2.0
#include "runtime/plugin/builtin.hpp"

#include <string>

namespace hedwig::plugin {

namespace {

using config::member;
using config::node;

node list_of(std::vector<node> items) {
  node out;
  out.type = node::kind::array;
  out.items = std::move(items);
  return out;
}

void put(node& table, std::string key, node value) {
  table.members.push_back({std::move(key), 0, 0, std::move(value)});
}

} // namespace

config::node static_auth_table(std::span<const config::auth_user> users) {
  std::vector<node> entries;
  for (auto& user : users) {
    node entry;
    put(entry, "username", node::of(user.username));
    put(entry, "password", node::of(user.password.reveal()));
    entries.push_back(std::move(entry));
  }
  node table;
  put(table, "user", list_of(std::move(entries)));
  return table;
}

config::node domain_filter_table(std::span<const config::domain_rule> rules) {
  std::vector<node> entries;
  for (auto& rule : rules) {
    std::vector<node> domains;
    for (auto& domain : rule.domain)
      domains.push_back(node::of(domain));
    auto of_sender = rule.type == config::filter_type::from_domain_filter;
    auto allows = rule.action == config::filter_action::allow;
    node entry;
    put(entry, "type", node::of(std::string{of_sender ? "from_domain_filter" : "to_domain_filter"}));
    put(entry, "domain", list_of(std::move(domains)));
    put(entry, "action", node::of(std::string{allows ? "allow" : "deny"}));
    entries.push_back(std::move(entry));
  }
  node table;
  put(table, "rule", list_of(std::move(entries)));
  return table;
}

} // namespace hedwig::plugin
