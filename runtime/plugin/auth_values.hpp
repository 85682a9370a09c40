// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/auth.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace hedwig::plugin {

/// One question to an auth provider; see hedwig_auth_request.
struct auth_request {
  std::string mechanism; ///< "PLAIN"
  std::string username;
  std::string authorize_as; ///< empty: the same
  std::string peer;
  std::string listener;
  std::string session;
  bool tls = false;
  bool client_certificate = false;
  std::string secret; ///< overwritten with zeros once the provider has answered
};

/// 0 throughout: the host's default.
struct auth_limits {
  std::uint32_t connections = 0;
  std::uint64_t message_size = 0;
  std::uint32_t recipients_per_message = 0;
  std::uint32_t messages_per_hour = 0;
  std::uint32_t recipients_per_day = 0;
};

/// What a provider said of a user beside the name; never changed once it is shared.
struct user_facts {
  std::vector<std::string> groups;
  std::vector<std::pair<std::string, std::string>> attributes; ///< a key may repeat
};

/// Who the client is. `name` is never empty: a provider that says yes without one has failed.
struct identity {
  std::string name;
  std::vector<std::string> groups;
  std::vector<std::pair<std::string, std::string>> attributes;
  std::vector<std::string> senders; ///< allowed MAIL FROM patterns; empty: any
  auth_limits limits;
  std::chrono::nanoseconds cache_for{0};

  static constexpr std::size_t list_max = 10'000; ///< groups, attributes, senders
};

/// RFC 5803 secrets of one user.
struct scram_secret {
  std::uint32_t iterations = 0;
  std::string salt;
  std::string stored_key;
  std::string server_key;
  identity who;
};

} // namespace hedwig::plugin
