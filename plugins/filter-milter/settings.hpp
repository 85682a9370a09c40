// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/plugin.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hedwig::filter_milter {

/// Where a milter listens.
struct milter_address {
  std::string path; ///< of a Unix socket; empty: host and port
  std::string host;
  std::string port;

  /// "inet:host:port", "inet:[2001:db8::1]:port", "unix:/path", and "inet:port@host", "inet6:", "local:" as Sendmail
  /// has them. Throws std::invalid_argument.
  [[nodiscard]] static milter_address parse(std::string_view text);
};

/// What a milter that fails counts as.
enum class failure_policy : std::uint8_t { tempfail, accept, reject };

struct milter_settings {
  std::string name;
  milter_address address;
  failure_policy on_failure{};
  std::chrono::nanoseconds connect_timeout{};
  std::chrono::nanoseconds command_timeout{};
  std::chrono::nanoseconds content_timeout{};
  std::size_t max_idle = 0;
};

struct filter_settings {
  std::vector<milter_settings> milters;
  std::string hostname;     ///< the macro j
  std::size_t max_body = 0; ///< octets of a replaced body
};

extern const hedwig_config_schema schema;
/// Throws failure(CONFIG).
[[nodiscard]] filter_settings read_settings(const sdk::config& config);

} // namespace hedwig::filter_milter
