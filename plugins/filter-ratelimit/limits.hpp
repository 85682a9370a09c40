// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/plugin.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "bucket_table.hpp"
#include "client_address.hpp"

namespace hedwig::filter_ratelimit {

using client_networks::client_address;
using client_networks::network;

/// What a limit counts by.
enum class counted : std::uint8_t { client, user, sender, sender_domain, recipient, recipient_domain };

/// One table of the config.
struct limit {
  std::string name;
  counted by{};
  rate messages;
  rate recipients;
  std::vector<std::string> listeners; ///< none: all
  std::vector<std::string> groups;    ///< in lower case; none: all
  std::vector<std::string> values;    ///< of what is counted; none: all

  [[nodiscard]] bool by_recipient() const noexcept {
    return by == counted::recipient || by == counted::recipient_domain;
  }
};

/// All settings that may change at a reload.
struct limit_set {
  std::vector<limit> limits;
  std::vector<network> exempt_clients;
  std::vector<std::string> exempt_users;
  std::vector<std::string> exempt_groups; ///< in lower case
  std::vector<std::string> exempt_listeners;
};

/// Who sends, as far as limits care.
struct sender_facts {
  std::optional<client_address> client;
  std::string user;
  std::unordered_set<std::string> groups; ///< of the user, in lower case
  std::string listener;
  std::string address; ///< of the envelope's sender
};

[[nodiscard]] std::string lower(std::string_view text);
/// In lower case, without a final dot; empty when there is none.
[[nodiscard]] std::string domain_of(std::string_view address);

/// Nothing is limited for this client.
[[nodiscard]] bool is_exempt(const limit_set& from, const sender_facts& who);
/// What the limit counts of this sender and recipient; nothing: it does not speak of them.
[[nodiscard]] std::optional<std::string> counted_value(const limit& at, const sender_facts& who,
                                                       std::string_view recipient);

/// "Too many messages from your address; try again in 12 minutes"
[[nodiscard]] std::string refusal(const limit& at, token kind, time_ns wait);

extern const hedwig_config_schema schema;
/// Throws failure(CONFIG).
[[nodiscard]] std::shared_ptr<const limit_set> read_limits(const sdk::config& config);

} // namespace hedwig::filter_ratelimit
