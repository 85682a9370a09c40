// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/base/error.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace hedwig::queue {

enum class tls_mode : std::uint8_t {
  none,          ///< never STARTTLS
  opportunistic, ///< STARTTLS when offered; any certificate; clear text else
  require,       ///< encrypted or not at all; any certificate
  verify         ///< encrypted, and the certificate must be good for the host's name
};

/// "none", "opportunistic", "require", "verify".
[[nodiscard]] std::string_view to_string_view(tls_mode mode) noexcept;
/// HEDWIG_E_CONFIG with the four names when it is none of them.
[[nodiscard]] result<tls_mode> parse_tls_mode(std::string_view text);

/// Where to connect. `host` is a name or an IP address without brackets, lower case.
struct next_hop {
  std::string host;
  std::uint16_t port = 25;

  /// "mx.example.com:25", "[2001:db8::1]:25".
  [[nodiscard]] std::string text() const;
  friend bool operator==(const next_hop&, const next_hop&) = default;
};

/// "relay.example.com", "relay.example.com:2525", "192.0.2.1:25", "[2001:db8::1]:25", "2001:db8::1".
/// HEDWIG_E_CONFIG with what is wrong.
[[nodiscard]] result<next_hop> parse_next_hop(std::string_view text, std::uint16_t default_port = 25);

/// One `[[routes]]` block.
struct route {
  std::vector<std::string> domains; ///< "example.com", "*.example.com" (subdomains only), "*"
  std::vector<next_hop> to;         ///< tried in order; empty: by MX
  tls_mode tls = tls_mode::opportunistic;

  [[nodiscard]] bool by_mx() const noexcept { return to.empty(); }
};

/// Finds the first route that fits a domain. Immutable once made; any thread may read it. The cost of find() is one
/// hash look-up a label, however many routes there are.
class route_table {
public:
  /// No routes: everything by MX.
  route_table() = default;
  /// HEDWIG_E_CONFIG naming route and pattern when a pattern is malformed.
  [[nodiscard]] static result<route_table> make(std::vector<route> routes);

  /// The first route with a pattern for `domain` (any case), or one that says "by MX, opportunistic".
  /// Lives as long as the table.
  [[nodiscard]] const route& find(std::string_view domain) const;
  [[nodiscard]] std::size_t size() const noexcept { return routes_.size(); }

private:
  struct text_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
  };
  using index = std::unordered_map<std::string, std::size_t, text_hash, std::equal_to<>>;

  std::vector<route> routes_;
  index exact_;    // "example.com" -> first route that names it
  index suffixes_; // "example.com" of "*.example.com"
  std::size_t star_ = static_cast<std::size_t>(-1);
};

} // namespace hedwig::queue
