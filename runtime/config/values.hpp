// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hedwig::config {

using duration = std::chrono::nanoseconds;

/// An IP address and a prefix length, "192.0.2.0/24". An IPv4-mapped IPv6 address is IPv4 here.
struct network {
  std::array<std::uint8_t, 16> address{}; ///< 4 or 16 bytes used; bits past the prefix are zero
  std::uint8_t size = 4;                  ///< 4 or 16
  std::uint8_t prefix = 0;

  /// `ip` is 4 or 16 bytes in network order.
  [[nodiscard]] bool contains(std::span<const std::uint8_t> ip) const noexcept;
  /// `ip` as text without port; false when it is no IP address.
  [[nodiscard]] bool contains(std::string_view ip) const noexcept;
  /// The whole address space of its family.
  [[nodiscard]] bool is_everyone() const noexcept { return prefix == 0; }
  [[nodiscard]] std::string text() const;
  friend bool operator==(const network&, const network&) = default;
};

/// Whether one of them does.
[[nodiscard]] inline bool contains(std::span<const network> networks, std::span<const std::uint8_t> ip) noexcept {
  for (auto& one : networks)
    if (one.contains(ip))
      return true;
  return false;
}

/// A host and a port. `host` is an IP address without brackets, or, where names are allowed, a host name in lower case.
struct endpoint {
  std::string host;
  std::uint16_t port = 0;
  bool is_ip = false; ///< false: a name to look up

  /// "192.0.2.1:25", "[2001:db8::1]:25", "mx.example.com:25".
  [[nodiscard]] std::string text() const;
  friend bool operator==(const endpoint&, const endpoint&) = default;
};

/// A text that is never printed: passwords.
class secret {
public:
  secret() = default;
  explicit secret(std::string text) : text_{std::move(text)} {}
  [[nodiscard]] const std::string& reveal() const noexcept { return text_; }
  friend bool operator==(const secret&, const secret&) = default;

private:
  std::string text_;
};

/// A parser's complaint: "what is wrong: what to write".
template <class T>
using parsed = std::expected<T, std::string>;

/// "250ms", "30s", "5m", "1h30m", "24h", "5d", "2w"; "0" and "0s" are zero. Never negative; at most 100 years.
[[nodiscard]] parsed<duration> parse_duration(std::string_view text);
/// The shortest spelling that parse_duration() reads back.
[[nodiscard]] std::string to_text(duration value);
/// "0", "512", "64KiB", "25MiB", "1GiB", "2TiB", also "10kB", "10MB", "1GB" (powers of 1000) and "64K", "25M", "1G" (of
/// 1024).
[[nodiscard]] parsed<std::uint64_t> parse_size(std::string_view text);
/// "192.0.2.0/24", "2001:db8::/32", or one address. Bits past the prefix must be zero.
[[nodiscard]] parsed<network> parse_network(std::string_view text);
/// "address:port" with an IP address (IPv6 in brackets) or "localhost".
[[nodiscard]] parsed<endpoint> parse_bind_address(std::string_view text);
/// "host", "host:port", "[ip]", "[ip]:port" with a host name or an IP address.
[[nodiscard]] parsed<endpoint> parse_endpoint(std::string_view text, std::uint16_t default_port);
/// A DNS name in lower case, without the final dot; letters, digits, hyphens and (as DNS has them) underscores.
[[nodiscard]] parsed<std::string> parse_hostname(std::string_view text);
/// "example.com", "*.example.com" (subdomains, not itself) or "*".
[[nodiscard]] parsed<std::string> parse_domain_pattern(std::string_view text);
/// Whether `domain` (any case) is meant by a pattern of parse_domain_pattern().
[[nodiscard]] bool domain_matches(std::string_view pattern, std::string_view domain) noexcept;
/// The known name nearest to `name`, when it is near enough to be meant.
[[nodiscard]] std::optional<std::string_view> nearest_name(std::string_view name,
                                                           std::span<const std::string_view> known);
/// Control characters, quotes and bytes that are not UTF-8 escaped, at most 60 bytes kept: to quote a value in a
/// message.
[[nodiscard]] std::string quoted(std::string_view text);

} // namespace hedwig::config
