// SPDX-License-Identifier: Apache-2.0
#include "limits.hpp"

#include <algorithm>

namespace hedwig::filter_ratelimit {

namespace {

using sdk::failure;
using sdk::key;
using sdk::key_in_range;
using sdk::key_of_choices;

constexpr std::size_t limits_max = 100;
constexpr std::int64_t count_max = 1'000'000'000;
constexpr std::int64_t second = 1'000'000'000;
constexpr std::int64_t month = 31 * 86400 * second;

constexpr auto reloadable = HEDWIG_CONFIG_RELOADABLE;
constexpr const char* by_names[] = {"client",           "user", "sender", "sender_domain", "recipient",
                                    "recipient_domain", nullptr};
constexpr auto limit_name = key(HEDWIG_CONFIG_STRING, "name",
                                "For the log; a limit that keeps its name keeps its counts at a reload.", reloadable);
constexpr auto limit_by = key_of_choices("by",
                                         "What is counted: client (an IPv4 address or an IPv6 /64), user (who has "
                                         "authenticated), sender, sender_domain, recipient, recipient_domain.",
                                         HEDWIG_CONFIG_REQUIRED | reloadable, nullptr, by_names);
constexpr auto limit_messages =
    key_in_range(HEDWIG_CONFIG_INTEGER, "messages", "Messages in one period.", reloadable, nullptr, 1, count_max);
constexpr auto limit_recipients =
    key_in_range(HEDWIG_CONFIG_INTEGER, "recipients", "Recipients in one period.", reloadable, nullptr, 1, count_max);
constexpr auto limit_per = key_in_range(HEDWIG_CONFIG_DURATION, "per", "The period.", reloadable, "1h", second, month);
constexpr auto limit_burst =
    key_in_range(HEDWIG_CONFIG_INTEGER, "burst",
                 "How many may come at once after a rest, of messages and of recipients; otherwise those of a period.",
                 reloadable, nullptr, 1, count_max);
constexpr auto limit_listeners =
    key(HEDWIG_CONFIG_STRINGS, "listeners", "Names of listeners; otherwise the limit is for all.", reloadable);
constexpr auto limit_groups =
    key(HEDWIG_CONFIG_STRINGS, "groups",
        "Only users whom the provider puts in one of these groups; case does not matter.", reloadable);
constexpr auto limit_values =
    key(HEDWIG_CONFIG_STRINGS, "values",
        "Only these users, addresses or domains; otherwise all, each with a count of its own.", reloadable);
constexpr const hedwig_config_key* limit_keys[] = {&limit_name,       &limit_by,     &limit_messages,
                                                   &limit_recipients, &limit_per,    &limit_burst,
                                                   &limit_listeners,  &limit_groups, &limit_values};
constexpr hedwig_config_schema limit_schema{sizeof limit_schema, std::size(limit_keys), limit_keys};

constexpr auto limits_key = key(HEDWIG_CONFIG_TABLES, "limit", "One table for each limit; all of them hold.",
                                HEDWIG_CONFIG_REQUIRED | reloadable, nullptr, &limit_schema);
constexpr auto clients_key = key(HEDWIG_CONFIG_STRINGS, "exempt_clients",
                                 "Addresses and networks, such as \"10.0.0.0/8\", that no limit is for.", reloadable);
constexpr auto users_key = key(HEDWIG_CONFIG_STRINGS, "exempt_users",
                               "Users that no limit is for; \"*\" is everybody who has authenticated.", reloadable);
constexpr auto groups_key =
    key(HEDWIG_CONFIG_STRINGS, "exempt_groups",
        "Groups whose members no limit is for, as the provider names them; case does not matter.", reloadable);
constexpr auto listeners_key =
    key(HEDWIG_CONFIG_STRINGS, "exempt_listeners", "Names of listeners that no limit is for.", reloadable);
constexpr auto buckets_key =
    key_in_range(HEDWIG_CONFIG_INTEGER, "max_buckets",
                 "Counts that are kept at once, 40 octets each: twice the number of clients, users and domains that "
                 "send within a period.",
                 0, "100000", 16, 100'000'000);
constexpr const hedwig_config_key* keys[] = {&limits_key, &clients_key,   &users_key,
                                             &groups_key, &listeners_key, &buckets_key};

bool contains(const std::vector<std::string>& list, std::string_view value) {
  return std::ranges::find(list, value) != list.end();
}

bool in_one_of(const std::vector<std::string>& groups, const sender_facts& who) {
  return std::ranges::any_of(groups, [&](auto& one) { return who.groups.contains(one); });
}

std::vector<std::string> lower_all(std::vector<std::string> list) {
  for (auto& one : list)
    one = lower(one);
  return list;
}

failure fault_of_limit(std::size_t number, const char* name, const std::string& what) {
  return {HEDWIG_E_CONFIG, "limit " + std::to_string(number) + ": " + what, std::string{"limit."} + name};
}

rate read_rate(const sdk::config& table, const char* name, std::size_t number) {
  if (!table.is_set(name))
    return {};
  auto count = table.integer(name);
  auto period = table.integer("per");
  auto burst = table.is_set("burst") ? table.integer("burst") : count;
  if (burst / 12 > count && period / second * (burst / count) > 12 * (month / second))
    throw fault_of_limit(number, "burst", "a burst that takes more than a year to come back is no limit");
  return rate::of(count, period, burst);
}

limit read_limit(const sdk::config& table, std::size_t number) {
  limit out;
  auto by = table.string("by");
  while (by != by_names[static_cast<std::size_t>(out.by)])
    out.by = static_cast<counted>(static_cast<std::size_t>(out.by) + 1);
  out.messages = read_rate(table, "messages", number);
  out.recipients = read_rate(table, "recipients", number);
  if (!out.messages.limits() && !out.recipients.limits())
    throw fault_of_limit(number, "by", "says neither how many messages nor how many recipients");
  out.name = table.is_set("name") ? table.string("name") : "limit " + std::to_string(number);
  out.listeners = table.strings("listeners");
  out.groups = lower_all(table.strings("groups"));
  out.values = table.strings("values");
  if (out.by == counted::client && !out.values.empty())
    throw fault_of_limit(number, "values", "are users, addresses or domains; clients go by exempt_clients");
  if (out.by != counted::user)
    for (auto& one : out.values)
      one = lower(one);
  return out;
}

} // namespace

constinit const hedwig_config_schema schema{sizeof schema, std::size(keys), keys};

std::string lower(std::string_view text) {
  std::string out{text};
  std::ranges::transform(out, out.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

std::string domain_of(std::string_view address) {
  auto at = address.rfind('@');
  auto domain = at == std::string_view::npos ? std::string_view{} : address.substr(at + 1);
  return lower(domain.substr(0, domain.size() - (domain.ends_with('.') ? 1 : 0)));
}

std::shared_ptr<const limit_set> read_limits(const sdk::config& config) {
  auto made = std::make_shared<limit_set>();
  auto count = config.count("limit");
  if (count > limits_max)
    throw failure{HEDWIG_E_CONFIG, "there are more than 100 limits", "limit"};
  for (std::size_t i = 0; i < count; ++i) {
    made->limits.push_back(read_limit(config.table("limit", i), i + 1));
    auto named_so = std::ranges::count(made->limits, made->limits.back().name, &limit::name);
    if (named_so > 1)
      throw fault_of_limit(i + 1, "name", "another limit is called \"" + made->limits.back().name + "\" too");
  }
  for (auto& one : config.strings("exempt_clients")) {
    auto read = network::parse(one);
    if (!read)
      throw failure{HEDWIG_E_CONFIG, "\"" + one + "\" is no address and no network", "exempt_clients"};
    made->exempt_clients.push_back(*read);
  }
  made->exempt_users = config.strings("exempt_users");
  made->exempt_groups = lower_all(config.strings("exempt_groups"));
  made->exempt_listeners = config.strings("exempt_listeners");
  return made;
}

bool is_exempt(const limit_set& from, const sender_facts& who) {
  if (contains(from.exempt_listeners, who.listener) || in_one_of(from.exempt_groups, who))
    return true;
  if (!who.user.empty() && (contains(from.exempt_users, who.user) || contains(from.exempt_users, "*")))
    return true;
  return who.client && std::ranges::any_of(from.exempt_clients, [&](auto& one) { return one.contains(*who.client); });
}

std::optional<std::string> counted_value(const limit& at, const sender_facts& who, std::string_view recipient) {
  if (!at.listeners.empty() && !contains(at.listeners, who.listener))
    return std::nullopt;
  if (!at.groups.empty() && !in_one_of(at.groups, who))
    return std::nullopt;
  if (at.by == counted::client)
    return who.client ? std::optional{who.client->site()} : std::nullopt;
  if (at.by == counted::user && who.user.empty())
    return std::nullopt;
  std::string value;
  switch (at.by) {
  case counted::user:
    value = who.user;
    break;
  case counted::sender:
    value = lower(who.address);
    break;
  case counted::sender_domain:
    value = domain_of(who.address);
    break;
  case counted::recipient:
    value = lower(recipient);
    break;
  default:
    value = domain_of(recipient);
  }
  if (!at.values.empty() && !contains(at.values, value))
    return std::nullopt;
  return value;
}

std::string refusal(const limit& at, token kind, time_ns wait) {
  static constexpr const char* whose[] = {"from your address", "from you",          "from this sender",
                                          "from this domain",  "to this recipient", "to this domain"};
  auto seconds = std::max<std::int64_t>((wait + second - 1) / second, 1);
  std::string text = kind == token::message ? "Too many messages " : "Too many recipients ";
  text += whose[static_cast<std::size_t>(at.by)];
  text += "; try again in ";
  if (seconds < 120)
    return text + std::to_string(seconds) + (seconds == 1 ? " second" : " seconds");
  auto minutes = (seconds + 59) / 60;
  return minutes < 120 ? text + std::to_string(minutes) + " minutes"
                       : text + std::to_string((minutes + 59) / 60) + " hours";
}

} // namespace hedwig::filter_ratelimit
