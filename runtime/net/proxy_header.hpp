// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/net/address.hpp"

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string_view>

namespace hedwig::net {

/// What a proxy in front of us says of the connection that it carries: the PROXY protocol of HAProxy
/// (proxy-protocol.txt), versions 1 and 2. A plain value.
struct proxy_header {
  enum class origin : std::uint8_t {
    client,  ///< `source` and `destination` hold
    unknown, ///< somebody's, and the proxy does not say whose (UNKNOWN, UNSPEC, families other than TCP)
    local,   ///< the proxy's own, such as a health check
  };
  int version = 0;
  origin from = origin::unknown;
  address source;       ///< the client
  address destination;  ///< what the client connected to
  std::size_t size = 0; ///< octets of the header; what follows is the client's
};

/// Octets of a header of version 1 with its CR LF, as the specification has it.
inline constexpr std::size_t proxy_v1_octets_max = 107;
/// Octets of a header of version 2, its fixed part and all TLVs included. The specification allows 65551; what proxies
/// send of a client's certificate stays far below this.
inline constexpr std::size_t proxy_v2_octets_max = 4096;

/// The header that `bytes` begin with. Nothing: it may still become one, give more. An error: it is none, in constant
/// words for a log. Addresses of Unix sockets and of UDP count as unknown; where a CRC32C is sent beside addresses, it
/// must be right.
[[nodiscard]] std::expected<std::optional<proxy_header>, std::string_view> parse_proxy_header(std::string_view bytes);

} // namespace hedwig::net
