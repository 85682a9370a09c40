// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/dns/ip_address.hpp"
#include "runtime/dns/resolver.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hedwig::dns {

/// Most hosts of one domain that a delivery tries; those of the worst preference are dropped.
inline constexpr std::size_t mail_hosts_max = 16;

/// Why there is no way to a domain, ready for a reply or a DSN.
struct no_route {
  bool permanent = false;
  std::string status; ///< enhanced code: "5.1.10", "4.4.3"
  std::string text;   ///< one sentence
};

/// One host to try: ask for its addresses, unless it is one.
struct mail_host {
  std::string name; ///< lower case; for a literal the address as text
  std::uint16_t preference = 0;
  std::optional<ip_address> literal;
};

/// The hosts of a domain in the order to try them.
struct mail_route {
  std::vector<mail_host> hosts; ///< 1 to mail_hosts_max
  std::string site;      ///< key of the destination: the sorted host names, so that domains that share hosts share it
  bool implicit = false; ///< no MX: the domain itself is the host (RFC 5321, section 5.1)
  bool secure = false;   ///< the MX answer was DNSSEC-validated
  std::chrono::seconds ttl{0};
};

using route_result = std::expected<mail_route, no_route>;

/// A number uniform in [0, bound); bound > 0.
using random_below = std::function<std::uint64_t(std::uint64_t bound)>;

/// The way to `domain` by what its MX look-up said (RFC 5321, section 5.1; RFC 7505). Best preference first, equal ones
/// shuffled by `random`. Targets that are no host names (addresses, garbage) are skipped. When one of `own_names`
/// (lower case) is among the targets, it and all that are not better than it are dropped; 5.4.6 when nothing is left.
[[nodiscard]] route_result route_by_mx(std::string_view domain, const mx_answer& answer,
                                       std::span<const std::string> own_names, const random_below& random);

/// The way to a domain literal "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321, section 4.1.3); 5.1.3 when malformed.
[[nodiscard]] route_result route_by_literal(std::string_view literal);

/// Whether a domain is written as a literal.
[[nodiscard]] bool is_literal(std::string_view domain) noexcept;

/// What it means for mail that a host has no address we could use. nullopt when the answer is ok.
[[nodiscard]] std::optional<no_route> address_failure(std::string_view host, const address_answer& answer);

/// The addresses of an ok answer that `policy` allows; no_route (5.4.4, with the reason) when it allows none.
[[nodiscard]] std::expected<std::vector<ip_address>, no_route>
usable_addresses(std::string_view host, const address_answer& answer, const address_policy& policy);

/// A host name that DNS and SMTP take: letters, digits, '-', '_' in labels of 1 to 63, 253 in all, no trailing dot, not
/// an address. ASCII only.
[[nodiscard]] bool is_host_name(std::string_view name) noexcept;

} // namespace hedwig::dns
