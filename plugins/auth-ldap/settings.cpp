// SPDX-License-Identifier: Apache-2.0
// A table of keys, exempt from the size rules, and the checks across them.
#include "settings.hpp"

#include <algorithm>
#include <initializer_list>
#include <iterator>

#include "text.hpp"

namespace hedwig::auth_ldap {

namespace {

using sdk::failure;
using sdk::key;
using sdk::key_in_range;
using sdk::key_of_choices;

constexpr std::uint32_t again = HEDWIG_CONFIG_RELOADABLE;
constexpr std::int64_t millisecond = 1'000'000;
constexpr std::int64_t minute = 60'000 * millisecond;
constexpr std::int64_t day = 1440 * minute;
constexpr std::int64_t most = 0xFFFF'FFFF;

constexpr const char* preset_choices[] = {"posix", "active-directory", nullptr};
constexpr const char* tls_choices[] = {"required", "none", nullptr};
constexpr const char* scope_choices[] = {"subtree", "one", nullptr};
constexpr const char* group_choices[] = {"none", "search", "member-of", "ad-chain", nullptr};

constexpr hedwig_config_key rule_list[] = {
    key(HEDWIG_CONFIG_STRING, "group", "Applies to members of this group: its name, or its DN.", again),
    key(HEDWIG_CONFIG_STRING, "attribute", "Applies to users who have this attribute.", again),
    key(HEDWIG_CONFIG_STRING, "value", "The attribute's value, in any case; without it any value will do.", again),
    key(HEDWIG_CONFIG_BOOLEAN, "deny", "Such a user may not log in here.", again, "false"),
    key(HEDWIG_CONFIG_STRINGS, "senders",
        "Addresses the user may send from: \"a@b.example\", \"@b.example\", \"@*.b.example\", \"{user}@b.example\", or "
        "\"*\" for any.",
        again),
    key(HEDWIG_CONFIG_STRINGS, "roles", "Given to the host as attributes named role.", again),
    key_in_range(HEDWIG_CONFIG_INTEGER, "connections", "Connections of the user at one time.", again, nullptr, 1, most),
    key_in_range(HEDWIG_CONFIG_SIZE, "message_size", "Size of one message.", again, nullptr, 1, INT64_MAX),
    key_in_range(HEDWIG_CONFIG_INTEGER, "recipients", "Recipients of one message.", again, nullptr, 1, most),
    key_in_range(HEDWIG_CONFIG_INTEGER, "messages_per_hour", "Messages in any hour.", again, nullptr, 1, most),
    key_in_range(HEDWIG_CONFIG_INTEGER, "recipients_per_day", "Recipients in any day.", again, nullptr, 1, most),
};

/// Pointers to the entries of a table of keys.
template <std::size_t Count>
struct pointers_to {
  constexpr explicit pointers_to(const hedwig_config_key (&table)[Count]) {
    for (std::size_t i = 0; i < Count; ++i)
      all[i] = &table[i];
  }
  const hedwig_config_key* all[Count];
};

constexpr pointers_to rule_keys{rule_list};
constexpr hedwig_config_schema rule_schema{sizeof rule_schema, std::size(rule_list), rule_keys.all};

constexpr hedwig_config_key key_list[] = {
    key(HEDWIG_CONFIG_STRINGS, "servers",
        "Asked in this order: \"ldaps://dc1.example.com\", \"ldap://dc2.example.com\", \"ldapi:///\". An ldap:// "
        "server is "
        "asked for StartTLS.",
        HEDWIG_CONFIG_REQUIRED | again),
    key_of_choices("tls",
                   "\"required\": nothing goes over the network without TLS and a certificate for the server's name. "
                   "\"none\": passwords cross the network in clear.",
                   again, "required", tls_choices),
    key(HEDWIG_CONFIG_PATH, "ca_file", "Certificates of the authorities that are trusted, PEM.", again,
        "/etc/ssl/certs/ca-certificates.crt"),
    key(HEDWIG_CONFIG_STRING, "bind_dn",
        "DN (or userPrincipalName) of the service account that searches; none: anonymous.", again),
    key(HEDWIG_CONFIG_SECRET, "bind_password", "Password of the service account.", again),
    key_in_range(HEDWIG_CONFIG_DURATION, "connect_timeout", "How long a server may take to accept a connection.", again,
                 "3s", 100 * millisecond, 5 * minute),
    key_in_range(HEDWIG_CONFIG_DURATION, "timeout", "How long a server may take over one request.", again, "5s",
                 100 * millisecond, 5 * minute),
    key_in_range(HEDWIG_CONFIG_DURATION, "server_rest", "How long a server that failed is left alone.", again, "10s",
                 100 * millisecond, day),
    key_in_range(HEDWIG_CONFIG_DURATION, "idle_timeout", "An idle connection is not used again after this.", again,
                 "1m", millisecond, day),
    key_in_range(HEDWIG_CONFIG_INTEGER, "connections_max",
                 "Connections for searches, and as many for the binds of users; give as many `workers`.", again, "8", 1,
                 1000),

    key_of_choices("preset", "Defaults for the keys below.", again, "posix", preset_choices),
    key(HEDWIG_CONFIG_STRING, "base", "DN below which users are searched.", again),
    key_of_choices("scope", "How deep below it.", again, "subtree", scope_choices),
    key(HEDWIG_CONFIG_STRING, "user_filter",
        "Finds the user: {user} is the whole name he gave, {local} and {domain} what stands before and behind its last "
        "@, "
        "{ad_name} Active Directory's choice of attribute. Default by preset: "
        "\"(&(objectClass=posixAccount)(uid={user}))\""
        " or \"(&(objectCategory=person)(objectClass=user){ad_name})\".",
        again),
    key(HEDWIG_CONFIG_STRING, "user_dn",
        "Bind directly as this DN, without a search before: \"uid={user},ou=people,dc=example,dc=com\".", again),
    key(HEDWIG_CONFIG_STRING, "user_principal",
        "Active Directory: bind directly as this name, without a search before: \"{user}@corp.example.com\".", again),
    key(HEDWIG_CONFIG_STRING, "netbios_domain", "Active Directory: the DOMAIN of names such as DOMAIN\\ada.", again),
    key(HEDWIG_CONFIG_STRINGS, "identity_attributes",
        "The first of these that a user has is his identity in policies and logs. Default by preset: [\"uid\"], or "
        "[\"userPrincipalName\", \"sAMAccountName\"].",
        again),
    key(HEDWIG_CONFIG_STRINGS, "sender_attributes",
        "The addresses in these attributes are senders that the user may use, such as [\"mail\", \"proxyAddresses\"].",
        again),
    key(HEDWIG_CONFIG_STRINGS, "attributes", "Given to the host with the identity.", again),
    key(HEDWIG_CONFIG_STRING, "scram_attribute",
        "Holds SCRAM-SHA-256 secrets as RFC 5803 has them, such as authPassword.", again),

    key_of_choices(
        "groups",
        "Where groups come from: \"search\" for groups that list the user, \"member-of\" for an attribute of the "
        "user, \"ad-chain\" for one search that Active Directory nests by itself.",
        again, "none", group_choices),
    key(HEDWIG_CONFIG_STRING, "group_base", "DN below which groups are searched. Default: base.", again),
    key(HEDWIG_CONFIG_STRING, "group_filter",
        "Finds the groups that have a member: {dn} is the member, {user} and {identity} are for groups that list "
        "names.",
        again, "(member={dn})"),
    key(HEDWIG_CONFIG_STRING, "group_name", "Attribute that holds a group's name.", again, "cn"),
    key(HEDWIG_CONFIG_STRING, "member_of_attribute", "Of users and groups.", again, "memberOf"),
    key_in_range(HEDWIG_CONFIG_INTEGER, "group_depth", "How far groups in groups are followed; 1: direct ones only.",
                 again, "5", 1, 50),
    key_in_range(HEDWIG_CONFIG_INTEGER, "groups_max", "A user in more groups is refused for the time being.", again,
                 "500", 1, 10'000),

    key(HEDWIG_CONFIG_TABLES, "rule", "What members of a group, or users with an attribute, may do.", again, nullptr,
        &rule_schema),
    key(HEDWIG_CONFIG_BOOLEAN, "rule_required", "A user to whom no rule applies may not log in.", again, "false"),

    key_in_range(
        HEDWIG_CONFIG_DURATION, "cache_time",
        "How long a right password is known without asking; a change or a lock is noticed after this. 0s: never.",
        again, "2m", 0, day),
    key_in_range(HEDWIG_CONFIG_DURATION, "negative_cache_time",
                 "How long a wrong password, or a name that nobody has, is refused without asking. 0s: never.", again,
                 "30s", 0, day),
    key_in_range(HEDWIG_CONFIG_INTEGER, "cache_entries", "Users in the cache, and as many names that nobody has.",
                 again, "10000", 1, 10'000'000),
};
constexpr pointers_to keys{key_list};

failure fault(const char* where, const std::string& text) { return failure{HEDWIG_E_CONFIG, text, where}; }

std::string text_or(const sdk::config& from, const char* name, std::string_view fallback) {
  auto text = from.string(name);
  return text.empty() ? std::string{fallback} : text;
}

void check_placeholders(const char* where, const std::string& pattern, const std::vector<std::string_view>& known) {
  if (auto unknown = unknown_placeholder(pattern, known))
    throw fault(where, "{" + *unknown + "} means nothing here");
}

/// Where a pattern names nobody, whoever logs in is the user that it finds.
void check_names_somebody(const char* where, const std::string& pattern, std::initializer_list<const char*> any_of,
                          const char* otherwise) {
  if (std::ranges::none_of(any_of, [&](auto* one) { return pattern.find(one) != std::string::npos; }))
    throw fault(where, otherwise);
}

/// Brackets that do not match would be the server's complaint at each login.
void check_filter(const char* where, const std::string& filter, const std::vector<std::string_view>& known) {
  check_placeholders(where, filter, known);
  int depth = 0;
  for (auto c : filter) {
    depth += c == '(' ? 1 : c == ')' ? -1 : 0;
    if (depth < 0)
      break;
  }
  if (!filter.starts_with('(') || !filter.ends_with(')') || depth != 0)
    throw fault(where, "it is no filter: write one such as (uid={user}), with as many ( as )");
}

rule read_rule(const sdk::config& from) {
  rule made;
  made.group = from.string("group");
  made.attribute = from.string("attribute");
  made.value = from.string("value");
  made.deny = from.boolean("deny");
  made.senders = from.strings("senders");
  made.roles = from.strings("roles");
  auto number = [&](const char* name) { return static_cast<std::uint32_t>(from.integer(name)); };
  made.limits.struct_size = sizeof made.limits;
  made.limits.connections = number("connections");
  made.limits.message_size = static_cast<std::uint64_t>(from.integer("message_size"));
  made.limits.recipients_per_message = number("recipients");
  made.limits.messages_per_hour = number("messages_per_hour");
  made.limits.recipients_per_day = number("recipients_per_day");
  if (made.attribute.empty() && !made.value.empty())
    throw fault("rule.value", "a rule with a value needs the attribute that has it");
  for (auto& sender : made.senders)
    check_placeholders("rule.senders", sender, {"user", "local", "identity"});
  return made;
}

void read_connection(settings& to, const sdk::config& from) {
  to.servers = from.strings("servers");
  to.tls = from.string("tls") == "required";
  to.ca_file = from.string("ca_file");
  to.bind_dn = from.string("bind_dn");
  to.bind_password = from.string("bind_password");
  to.connect_timeout = from.duration("connect_timeout");
  to.timeout = from.duration("timeout");
  to.server_rest = from.duration("server_rest");
  to.idle_timeout = from.duration("idle_timeout");
  to.connections_max = static_cast<std::size_t>(from.integer("connections_max"));
  if (to.servers.empty() || to.servers.size() > 16)
    throw fault("servers", "give 1 to 16 servers such as \"ldaps://dc1.example.com\"");
  for (auto& server : to.servers)
    if (!server.starts_with("ldaps://") && !server.starts_with("ldap://") && !server.starts_with("ldapi://"))
      throw fault("servers", server + " is no server: write ldaps://HOST, ldap://HOST or ldapi://PATH");
  // RFC 4513 section 5.1.2: a DN without a password is a bind as nobody that looks like a success.
  if (to.bind_dn.empty() != to.bind_password.empty())
    throw fault(to.bind_dn.empty() ? "bind_dn" : "bind_password", "give both bind_dn and bind_password, or neither");
}

void read_users(settings& to, const sdk::config& from) {
  to.active_directory = from.string("preset") == "active-directory";
  auto ad = to.active_directory;
  to.base = from.string("base");
  to.subtree = from.string("scope") == "subtree";
  to.user_filter = text_or(from, "user_filter",
                           ad ? "(&(objectCategory=person)(objectClass=user){ad_name})"
                              : "(&(objectClass=posixAccount)(uid={user}))");
  to.user_dn = from.string("user_dn");
  to.user_principal = from.string("user_principal");
  to.netbios_domain = from.string("netbios_domain");
  to.identity_attributes = from.strings("identity_attributes");
  if (to.identity_attributes.empty())
    to.identity_attributes =
        ad ? std::vector<std::string>{"userPrincipalName", "sAMAccountName"} : std::vector<std::string>{"uid"};
  to.sender_attributes = from.strings("sender_attributes");
  to.attributes = from.strings("attributes");
  to.scram_attribute = from.string("scram_attribute");
  check_filter("user_filter", to.user_filter, {"user", "local", "domain", "ad_name"});
  check_placeholders("user_dn", to.user_dn, {"user", "local", "domain"});
  check_placeholders("user_principal", to.user_principal, {"user"});
  if (!to.user_dn.empty() && !to.user_principal.empty())
    throw fault("user_principal", "give user_dn or user_principal, not both");
  if (to.user_dn.empty() && to.base.empty())
    throw fault("base", "give the DN below which users are, such as \"ou=people,dc=example,dc=com\"");
  check_names_somebody("user_filter", to.user_filter, {"{user}", "{local}", "{ad_name}"},
                       "without {user}, {local} or {ad_name} everybody would be the same user");
  if (!to.user_dn.empty())
    check_names_somebody("user_dn", to.user_dn, {"{user}", "{local}"},
                         "without {user} or {local} everybody would be the same user");
  if (!to.user_principal.empty())
    check_names_somebody("user_principal", to.user_principal, {"{user}"},
                         "without {user} everybody would be the same user");
  if (!to.scram_attribute.empty() && to.bind_dn.empty())
    throw fault("scram_attribute", "reading SCRAM secrets needs a service account: give bind_dn");
}

void read_groups(settings& to, const sdk::config& from) {
  auto source = from.string("groups");
  to.groups = source == "search"      ? group_source::search
              : source == "member-of" ? group_source::member_of
              : source == "ad-chain"  ? group_source::ad_chain
                                      : group_source::none;
  to.group_base = text_or(from, "group_base", to.base);
  to.group_filter = from.string("group_filter");
  to.group_name = from.string("group_name");
  to.member_of_attribute = from.string("member_of_attribute");
  to.group_depth = static_cast<std::size_t>(from.integer("group_depth"));
  to.groups_max = static_cast<std::size_t>(from.integer("groups_max"));
  check_filter("group_filter", to.group_filter, {"dn", "user", "identity"});
  check_names_somebody("group_filter", to.group_filter, {"{dn}", "{user}", "{identity}"},
                       "without {dn}, {user} or {identity} everybody would be in the same groups");
  if (to.groups != group_source::none && to.groups != group_source::member_of && to.group_base.empty())
    throw fault("group_base", "give the DN below which groups are");
  for (std::size_t i = 0; i < from.count("rule"); ++i)
    to.rules.push_back(read_rule(from.table("rule", i)));
  for (auto& one : to.rules)
    if (!one.group.empty() && to.groups == group_source::none)
      throw fault("rule.group",
                  "a rule names the group " + one.group + ", and groups = \"none\": say where groups are");
  to.rule_required = from.boolean("rule_required");
}

} // namespace

const hedwig_config_schema schema{sizeof schema, std::size(key_list), keys.all};

settings read_settings(const sdk::config& config) {
  settings made;
  read_connection(made, config);
  read_users(made, config);
  read_groups(made, config);
  made.cache_time = config.duration("cache_time");
  made.negative_cache_time = config.duration("negative_cache_time");
  made.cache_entries = static_cast<std::size_t>(config.integer("cache_entries"));
  return made;
}

} // namespace hedwig::auth_ldap
