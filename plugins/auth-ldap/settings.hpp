// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/auth.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace hedwig::auth_ldap {

enum class group_source : std::uint8_t {
  none,
  search,    ///< groups that name the user as their member
  member_of, ///< an attribute of the user
  ad_chain,  ///< one search by Active Directory's LDAP_MATCHING_RULE_IN_CHAIN
};

/// One [[auth.rule]]: what its members may do.
struct rule {
  std::string group;     ///< name or DN; empty: not asked
  std::string attribute; ///< of the user; empty: not asked
  std::string value;     ///< of it; empty: any
  bool deny = false;
  std::vector<std::string> senders;
  std::vector<std::string> roles;
  hedwig_auth_limits limits{}; ///< 0: says nothing
};

/// The checked settings of one instance; see the schema for what each means.
struct settings {
  std::vector<std::string> servers;
  bool tls = true;
  std::string ca_file;
  std::string bind_dn;
  std::string bind_password;
  std::chrono::nanoseconds connect_timeout{};
  std::chrono::nanoseconds timeout{};
  std::chrono::nanoseconds server_rest{};
  std::chrono::nanoseconds idle_timeout{};
  std::size_t connections_max = 0;

  bool active_directory = false;
  std::string base;
  bool subtree = true;
  std::string user_filter;
  std::string user_dn;
  std::string user_principal;
  std::string netbios_domain;
  std::vector<std::string> identity_attributes;
  std::vector<std::string> sender_attributes;
  std::vector<std::string> attributes;
  std::string scram_attribute;

  group_source groups = group_source::none;
  std::string group_base;
  std::string group_filter;
  std::string group_name;
  std::string member_of_attribute;
  std::size_t group_depth = 0;
  std::size_t groups_max = 0;

  std::vector<rule> rules;
  bool rule_required = false;

  std::chrono::nanoseconds cache_time{};
  std::chrono::nanoseconds negative_cache_time{};
  std::size_t cache_entries = 0;

  [[nodiscard]] bool binds_directly() const noexcept { return !user_dn.empty() || !user_principal.empty(); }
};

extern const hedwig_config_schema schema;
/// Throws sdk::failure(CONFIG) with the key for what the schema cannot check.
[[nodiscard]] settings read_settings(const sdk::config& config);

} // namespace hedwig::auth_ldap
