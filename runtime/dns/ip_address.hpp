// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace hedwig::dns {

/// An IPv4 or IPv6 address without port or zone.
class ip_address {
public:
  /// 0.0.0.0
  ip_address() = default;
  /// "192.0.2.1", "2001:db8::1"; no brackets, no port, no zone.
  [[nodiscard]] static std::optional<ip_address> parse(std::string_view text);
  /// 4 or 16 bytes in network order, as in an A or AAAA record.
  [[nodiscard]] static std::optional<ip_address> from_bytes(std::string_view bytes) noexcept;

  [[nodiscard]] bool v6() const noexcept { return v6_; }
  [[nodiscard]] std::span<const std::uint8_t> bytes() const noexcept { return {bytes_.data(), v6_ ? 16u : 4u}; }
  [[nodiscard]] std::string text() const;
  friend auto operator<=>(const ip_address&, const ip_address&) = default;

private:
  bool v6_ = false;
  std::array<std::uint8_t, 16> bytes_{};
};

/// Where its PTR records stand: "1.2.0.192.in-addr.arpa", or the 32 nibbles below "ip6.arpa" (RFC 3596, section 2.5).
[[nodiscard]] std::string reverse_name(const ip_address& address);

/// What an address is for. IPv6 forms that carry an IPv4 address (mapped, compatible, NAT64) count as that address.
enum class address_class : std::uint8_t {
  global,
  unspecified, ///< 0.0.0.0/8, ::
  loopback,    ///< 127.0.0.0/8, ::1
  private_use, ///< RFC 1918, RFC 6598, fc00::/7, fec0::/10
  link_local,  ///< 169.254.0.0/16, fe80::/10
  multicast,   ///< 224.0.0.0/4, ff00::/8
  reserved     ///< 240.0.0.0/4 with broadcast, benchmarking (198.18.0.0/15), the IPv6 discard prefix 100::/64
};

[[nodiscard]] address_class classify(const ip_address& address) noexcept;
/// "loopback", "private", "link-local", ...
[[nodiscard]] std::string_view to_string_view(address_class value) noexcept;

/// Which addresses found in DNS may be connected to. Next hops an operator wrote down are not subject to it.
struct address_policy {
  bool allow_loopback = false;
  bool allow_private = false; ///< private_use and link_local
};

/// Why not to connect there, in words for log and DSN ("... is a loopback address"); nullopt when it is fine.
/// Unspecified, multicast and reserved ones never are.
[[nodiscard]] std::optional<std::string> refusal(const ip_address& address, const address_policy& policy);

} // namespace hedwig::dns
