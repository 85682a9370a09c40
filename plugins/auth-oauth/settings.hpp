// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/auth.hpp>

#include <chrono>
#include <string>
#include <vector>

#include "keys.hpp"

namespace hedwig::auth_oauth {

/// The checked settings of one instance; see the schema for what each means.
struct settings {
  std::string jwks_file;
  std::string jwks_url;
  std::string introspection_url;
  std::string client_id;
  std::string client_secret;

  std::string issuer;
  std::vector<std::string> audience;
  std::vector<std::string> required_scopes;
  std::vector<algorithm> algorithms;
  std::chrono::nanoseconds leeway{};

  std::string user_claim;
  std::vector<std::string> login_claims;
  std::string groups_claim;
  std::vector<std::string> sender_claims;
  std::vector<std::string> senders;

  std::string ca_file;
  std::chrono::nanoseconds connect_timeout{};
  std::chrono::nanoseconds timeout{};
  std::chrono::nanoseconds refresh_interval{};
  std::chrono::nanoseconds refresh_pause{};
  std::chrono::nanoseconds cache_time{};
  std::size_t cache_entries = 0;

  [[nodiscard]] bool introspects() const noexcept { return !introspection_url.empty(); }
};

extern const hedwig_config_schema schema;
/// Throws sdk::failure(CONFIG) with the key for what the schema cannot check.
[[nodiscard]] settings read_settings(const sdk::config& config);

} // namespace hedwig::auth_oauth
