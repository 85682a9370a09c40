// SPDX-License-Identifier: Apache-2.0
#include "actors/client_policy.hpp"

#include "actors/context.hpp"
#include "runtime/telemetry/log.hpp"

#include <algorithm>
#include <ranges>
#include <span>

namespace hedwig {

namespace {

using smtp::counted_by;
using smtp::counted_limits;
using policy_settings = config::client_policy_settings;

static_assert(static_cast<int>(config::policy_scope::sender_domain) == static_cast<int>(counted_by::sender_domain) &&
              static_cast<int>(config::policy_scope::user) == static_cast<int>(counted_by::user) &&
              static_cast<int>(config::policy_scope::listener) == static_cast<int>(counted_by::listener));

// In the order of counted_what. For clients outside relay_from; docs/limits.md says the same.
constexpr counted_limits address_defaults{50, 120, 300, 50'000, 3'000, 200'000};
constexpr counted_limits network_defaults{250, 600, 1'500, 250'000, 15'000, 1'000'000};
constexpr counted_limits user_defaults{100, 0, 1'200, 100'000, 12'000, 1'000'000};
// A listener has server.max_connections, and more would shut out everybody for one; a sender's domain anyone can forge,
// so that a limit would let strangers shut it out.

bool policy_fits(const policy_settings& one, const std::string& listener, const net::address& client) {
  return (one.networks.empty() || config::contains(one.networks, client.octets())) &&
         (one.listeners.empty() || std::ranges::find(one.listeners, listener) != one.listeners.end());
}

void lay_over(counted_limits& limits, const policy_settings& one) {
  const std::optional<std::uint32_t> said[] = {one.connections,           one.connections_per_minute,
                                               one.messages_per_minute,   one.messages_per_day,
                                               one.recipients_per_minute, one.recipients_per_day};
  for (std::size_t i = 0; i < limits.size(); ++i)
    if (said[i])
      limits[i] = *said[i];
}

void lay_over(config::duration& time, config::duration said) {
  if (said != config::duration{0})
    time = said;
}

void lay_over(client_rules& rules, const policy_settings& one) {
  if (one.per != config::policy_scope::sender_domain)
    lay_over(rules.counted[static_cast<std::size_t>(one.per)], one);
  auto& times = rules.times;
  lay_over(times.greeting, one.greeting_timeout);
  lay_over(times.command, one.cmd_timeout);
  lay_over(times.data, one.data_timeout);
  lay_over(times.session, one.session_timeout);
  times.min_data_rate = one.min_data_rate.value_or(times.min_data_rate);
  if (!one.max_message_size && !one.max_recipients && !one.max_errors)
    return;
  auto protocol = std::make_shared<smtp::server_settings>(*rules.protocol);
  auto& limits = protocol->limits;
  limits.data.body_octets_max = one.max_message_size.value_or(limits.data.body_octets_max);
  limits.recipients_max = one.max_recipients.value_or(limits.recipients_max);
  limits.bad_commands_max = one.max_errors.value_or(limits.bad_commands_max);
  rules.protocol = std::move(protocol);
}

std::shared_ptr<const client_rules> rules_of(const relay_policy& policy, std::size_t listener,
                                             const net::address& client, bool known) {
  auto& base = known ? policy.listeners[listener].known_clients : policy.listeners[listener].other_clients;
  auto& name = policy.settings.server.listeners[listener].name;
  std::shared_ptr<client_rules> made;
  // From the last to the first, so that the first that names a limit is the one that stays.
  for (auto& one : policy.settings.server.policies | std::views::reverse) {
    if (!policy_fits(one, name, client))
      continue;
    if (!made)
      made = std::make_shared<client_rules>(*base);
    lay_over(*made, one);
  }
  return made ? made : base;
}

bool is_limited(const counted_limits& limits) noexcept {
  return smtp::limits_connections(limits) || smtp::limits_mail(limits);
}

std::vector<smtp::counted> counted_for(const client_rules& rules, const std::string& listener,
                                       const net::address& client) {
  std::vector<smtp::counted> counted;
  for (auto by : {counted_by::address, counted_by::network, counted_by::listener}) {
    if (!is_limited(rules.of(by)))
      continue;
    auto key = by == counted_by::listener ? smtp::client_limits::key_of_name(by, listener)
                                          : smtp::client_limits::key_of(by, client.octets());
    counted.push_back({by, std::move(key), rules.of(by)});
  }
  return counted;
}

} // namespace

std::shared_ptr<const client_rules> make_client_rules(const config::server_settings& server,
                                                      std::shared_ptr<const smtp::server_settings> protocol,
                                                      bool known) {
  auto made = std::make_shared<client_rules>();
  made->protocol = std::move(protocol);
  made->times = {.greeting = server.greeting_timeout,
                 .command = server.cmd_timeout,
                 .data = server.data_timeout,
                 .session = server.session_timeout,
                 .min_data_rate = server.min_data_rate};
  if (!known) {
    made->counted[static_cast<std::size_t>(counted_by::address)] = address_defaults;
    made->counted[static_cast<std::size_t>(counted_by::network)] = network_defaults;
    made->counted[static_cast<std::size_t>(counted_by::user)] = user_defaults;
  }
  return made;
}

client_admission admit_client(relay_context& relay, const relay_policy& policy, std::size_t listener,
                              const net::address& client, bool known) {
  auto& name = policy.settings.server.listeners[listener].name;
  client_admission made;
  made.rules = rules_of(policy, listener, client, known);
  made.counted = counted_for(*made.rules, name, client);
  if (made.counted.empty())
    return made;
  if (auto found = relay.clients.enter(made.counted, relay.time.steady())) {
    made.counted.clear();
    made.refused = &client_limit_reply(found->what);
    relay.counts.connections_refused(name, "client_limit").add();
    report_client_limit(relay, name, client.text(), *found);
  }
  return made;
}

counted_limits sender_domain_limits(const relay_policy& policy, std::size_t listener, const net::address& client,
                                    std::string_view domain) {
  counted_limits made{};
  auto& name = policy.settings.server.listeners[listener].name;
  for (auto& one : policy.settings.server.policies | std::views::reverse) {
    auto means = [&](auto& pattern) { return config::domain_matches(pattern, domain); };
    if (one.per == config::policy_scope::sender_domain && policy_fits(one, name, client) &&
        (one.sender_domains.empty() || std::ranges::any_of(one.sender_domains, means)))
      lay_over(made, one);
  }
  return made;
}

void report_client_limit(relay_context& relay, std::string_view listener, std::string_view peer,
                         const smtp::client_limits::refusal& found) {
  auto limit = std::string{"policies."}.append(to_string_view(found.by)).append(".").append(to_string_view(found.what));
  relay.counts.limit_hit(limit).add();
  auto times = relay.clients_limited.happened(relay.time.steady());
  if (times == 0)
    return;
  telemetry::log(telemetry::level::warn, telemetry::component::session,
                 {"session.limited", "a client reached a limit; said once in ten seconds at most"},
                 {{"peer", peer}, {"listener", listener}, {"limit", limit}, {"times", times}});
}

const smtp::standard_reply& client_limit_reply(smtp::counted_what what) noexcept {
  switch (what) {
  case smtp::counted_what::connections:
    return smtp::replies::client_connections;
  case smtp::counted_what::connections_per_minute:
    return smtp::replies::client_connection_rate;
  case smtp::counted_what::messages_per_minute:
  case smtp::counted_what::messages_per_day:
    return smtp::replies::client_messages;
  default:
    return smtp::replies::client_recipients;
  }
}

} // namespace hedwig
