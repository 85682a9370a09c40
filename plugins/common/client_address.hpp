// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hedwig::client_networks {

// What several filters make of clients' addresses; each compiles it in.

/// An IP address in its 16 octets; IPv4 as ::ffff:a.b.c.d, however it was written.
class client_address {
public:
  [[nodiscard]] static std::optional<client_address> parse(std::string_view text);
  /// IPv4 as it is; of IPv6 the /64, which is what one customer gets.
  [[nodiscard]] std::string site() const;
  [[nodiscard]] bool is_ipv4() const noexcept;
  [[nodiscard]] const std::array<std::uint8_t, 16>& octets() const noexcept { return octets_; }

private:
  std::array<std::uint8_t, 16> octets_{};
};

/// "192.0.2.0/24", "2001:db8::/32", or one address.
class network {
public:
  [[nodiscard]] static std::optional<network> parse(std::string_view text);
  [[nodiscard]] bool contains(const client_address& address) const noexcept;

private:
  client_address base_;
  std::size_t bits_ = 128;
};

} // namespace hedwig::client_networks
