// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/plugin.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client_address.hpp"

namespace hedwig::filter_dnsbl {

using client_networks::client_address;
using client_networks::network;

/// Which answers of a list mean that somebody is on it.
class answer_pattern {
public:
  /// "127.0.0.2", "127.0.0.4-11" (of the last octet), "127.0.0.&12" (any of these bits of the last octet); throws
  /// std::invalid_argument.
  [[nodiscard]] static answer_pattern parse(std::string_view text);
  /// What lists use by convention: all of 127.0.0.0/8 but 127.0.0.1 and 127.255.0.0/16, which tell of errors.
  [[nodiscard]] static bool is_usual(const std::array<std::uint8_t, 4>& answer) noexcept;
  [[nodiscard]] bool matches(const std::array<std::uint8_t, 4>& answer) const noexcept;

private:
  std::array<std::uint8_t, 3> network_{};
  std::uint8_t low_ = 0;
  std::uint8_t high_ = 0;
  std::uint8_t bits_ = 0; ///< not 0: in place of the range
};

/// What one answer of a zone is worth.
struct weighing {
  std::vector<answer_pattern> answers; ///< none: the usual ones
  std::int64_t weight = 0;             ///< below 0: speaks for the client
};

/// One zone, asked once however many tables of the config weigh its answers.
struct zone {
  std::string name;
  bool of_domains = false;
  std::vector<weighing> weighings;

  /// Of all of its weighings that an answer matches, each once.
  [[nodiscard]] std::int64_t weigh(const std::vector<std::array<std::uint8_t, 4>>& answers) const;
};

/// Settings that may change at a reload.
struct list_set {
  std::vector<zone> zones;
  std::vector<network> exempt_clients;
  std::vector<std::string> listeners;
  bool exempt_authenticated = true;
  bool check_private = false;
  std::chrono::nanoseconds timeout{};
  std::optional<std::int64_t> reject_at;
  std::optional<std::int64_t> tempfail_at;
  std::optional<std::int64_t> tag_at;
  std::string tag_header;
};

/// The name to ask a list of addresses for (RFC 5782, section 2).
[[nodiscard]] std::string name_of_address(const client_address& address, const std::string& zone);
/// The same for a list of domains; empty when the DNS could not carry it.
[[nodiscard]] std::string name_of_domain(std::string_view domain, const std::string& zone);
/// Of a network that no public list can know: RFC 1918, 4193, 6598, loopback, link-local.
[[nodiscard]] bool is_private(const client_address& address);

extern const hedwig_config_schema schema;
/// Throws failure(CONFIG).
[[nodiscard]] list_set read_lists(const sdk::config& config);

} // namespace hedwig::filter_dnsbl
