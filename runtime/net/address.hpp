// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/base/error.hpp"

#include <sys/socket.h>

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace hedwig::net {

/// An IPv4 or IPv6 address with a port. A plain value; never looks anything up. An IPv4-mapped IPv6 address
/// (::ffff:192.0.2.1) becomes the IPv4 address it stands for, so that lists and comparisons see one form.
/// Bytes are in network order, the port in host order.
class address {
public:
  enum class family_type : std::uint8_t { v4, v6 };

  /// 0.0.0.0 with port 0.
  address() noexcept = default;
  /// The address in the first four bytes.
  [[nodiscard]] static address v4(std::array<std::uint8_t, 4> bytes, std::uint16_t port) noexcept;
  [[nodiscard]] static address v6(std::array<std::uint8_t, 16> bytes, std::uint16_t port,
                                  std::uint32_t scope = 0) noexcept;

  /// "127.0.0.1:25", "[::1]:25"; with a default port also "127.0.0.1", "::1" and "[::1]". Host names, zones (%eth0)
  /// and ports outside 0 to 65535 are errors whose text says what to write.
  [[nodiscard]] static result<address> parse(std::string_view text, std::optional<std::uint16_t> default_port = {});
  /// The address without a port: "127.0.0.1", "::1".
  [[nodiscard]] static result<address> parse_ip(std::string_view text, std::uint16_t port = 0);

  /// Nothing for any other family than IPv4 and IPv6.
  [[nodiscard]] static std::optional<address> from_sockaddr(const sockaddr* raw, socklen_t size) noexcept;
  /// Fills `out` and returns the size to hand to the kernel.
  socklen_t to_sockaddr(sockaddr_storage& out) const noexcept;

  /// "127.0.0.1:25", "[::1]:25": parse() reads it back as the same value.
  [[nodiscard]] std::string text() const;
  /// "127.0.0.1", "::1" (RFC 5952).
  [[nodiscard]] std::string ip_text() const;

  [[nodiscard]] family_type family() const noexcept { return family_; }
  [[nodiscard]] bool is_v4() const noexcept { return family_ == family_type::v4; }
  [[nodiscard]] bool is_v6() const noexcept { return family_ == family_type::v6; }
  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  [[nodiscard]] address with_port(std::uint16_t port) const noexcept;
  /// The address bytes in network order; of an IPv4 address only the first four count, the others are zero.
  [[nodiscard]] const std::array<std::uint8_t, 16>& bytes() const noexcept { return bytes_; }

  /// Those that count: 4 or 16.
  [[nodiscard]] std::span<const std::uint8_t> octets() const noexcept {
    return std::span{bytes_}.first(is_v4() ? 4 : 16);
  }
  /// 127.0.0.0/8, ::1.
  [[nodiscard]] bool is_loopback() const noexcept;
  /// RFC 1918, RFC 6598 (100.64.0.0/10), link-local (169.254.0.0/16, fe80::/10) and unique local (fc00::/7).
  [[nodiscard]] bool is_private() const noexcept;
  /// 0.0.0.0, ::.
  [[nodiscard]] bool is_unspecified() const noexcept;
  /// 224.0.0.0/4, ff00::/8 and the broadcast address.
  [[nodiscard]] bool is_multicast() const noexcept;

  friend auto operator<=>(const address&, const address&) noexcept = default;
  friend bool operator==(const address&, const address&) noexcept = default;

private:
  family_type family_ = family_type::v4;
  std::array<std::uint8_t, 16> bytes_{};
  std::uint32_t scope_ = 0;
  std::uint16_t port_ = 0;
};

/// An address range such as 127.0.0.0/8; a plain value.
class network {
public:
  /// 0.0.0.0/0: every IPv4 address.
  network() noexcept = default;
  /// "127.0.0.0/8", "::1/128", "10.1.2.3" (just that address). Bits behind the prefix must be zero: the error shows
  /// the network to write instead.
  [[nodiscard]] static result<network> parse(std::string_view text);

  /// Whether `host` lies in the range; its port does not count. An address of the other family never does.
  [[nodiscard]] bool contains(const address& host) const noexcept;
  [[nodiscard]] std::string text() const;
  [[nodiscard]] int prefix() const noexcept { return prefix_; }

  friend bool operator==(const network&, const network&) noexcept = default;

private:
  address base_;
  int prefix_ = 0;
};

} // namespace hedwig::net
