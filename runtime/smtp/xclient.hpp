// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/smtp/reply.hpp"

namespace hedwig::smtp {

/// One attribute of XCLIENT. A known one has no control bytes.
struct xclient_text {
  bool known = false; ///< else [UNAVAILABLE] or [TEMPUNAVAIL]
  std::string text;
};

/// What a trusted client says of the one that it speaks for (Postfix's XCLIENT_README). What it does not name stays as
/// it is.
struct xclient_attributes {
  std::optional<xclient_text> name;  ///< confirmed reverse name
  std::optional<xclient_text> addr;  ///< IP address, without "IPV6:"
  std::optional<std::uint16_t> port; ///< 0: unavailable
  std::optional<bool> extended;      ///< PROTO: ESMTP, not SMTP
  std::optional<xclient_text> helo;
  std::optional<xclient_text> login; ///< who has logged in there; unknown: nobody
  std::optional<xclient_text> destaddr;
  std::optional<std::uint16_t> destport; ///< 0: unavailable
};

/// The names of all of them but LOGIN, as EHLO tells them.
inline constexpr std::string_view xclient_names = "NAME ADDR PORT PROTO HELO DESTADDR DESTPORT";
/// Octets of one value, decoded; an address literal or a domain name is shorter.
inline constexpr std::size_t xclient_octets_max = 255;

/// "NAME=spike.example.org ADDR=192.0.2.3": at least one, each at most once. LOGIN is an unknown attribute unless
/// `with_login`. The error is the reply: 501.
[[nodiscard]] std::expected<xclient_attributes, standard_reply> parse_xclient(std::string_view arguments,
                                                                              bool with_login);

} // namespace hedwig::smtp
