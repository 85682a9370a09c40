// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "runtime/mail/address.hpp"
#include "runtime/smtp/delivery_parameters.hpp"
#include "runtime/smtp/reply.hpp"

namespace hedwig::smtp {

/// Octets of a command line with its CRLF. RFC 5321 says 512; the extensions add up to some 1,200 more.
inline constexpr std::size_t command_line_octets_max = 2048;
/// Octets of an AUTH line and of the responses that follow it (RFC 4954 section 4).
inline constexpr std::size_t auth_line_octets_max = 12288;
/// Octets of the name in EHLO and HELO.
inline constexpr std::size_t helo_octets_max = 255;
/// Parameters of one MAIL or RCPT.
inline constexpr std::size_t parameters_max = 16;
/// Octets of the values of ENVID and ORCPT, as they are written (RFC 3461 sections 4.4 and 4.2).
inline constexpr std::size_t envelope_id_octets_max = 100;
inline constexpr std::size_t original_recipient_octets_max = 500;

/// RFC 6152, RFC 3030.
enum class body_type : std::uint8_t { seven_bit, eight_bit, binary };

/// RET= of RFC 3461: what of the message a report of its failure is to bring back.
enum class return_type : std::uint8_t { unsaid, full, headers };

/// NOTIFY= of RFC 3461, or-ed; none of them: it was not given.
inline constexpr std::uint8_t notify_never = 1;
inline constexpr std::uint8_t notify_success = 2;
inline constexpr std::uint8_t notify_failure = 4;
inline constexpr std::uint8_t notify_delay = 8;

/// ESMTP parameters of MAIL.
struct mail_parameters {
  std::optional<std::uint64_t> size; ///< octets, RFC 1870; all ones where the number was too big for 64 bits
  body_type body = body_type::seven_bit;
  bool smtputf8 = false;
  return_type returns = return_type::unsaid;
  std::string envelope_id;     ///< ENVID= as written: well-formed xtext of printable ASCII; empty: not given
  std::optional<int> priority; ///< MT-PRIORITY=, -9 to 9
  std::optional<deliver_by_request> deliver_by; ///< BY=
  std::optional<std::chrono::seconds> hold_for; ///< HOLDFOR=; or
  std::optional<wall_time> hold_until;          ///< HOLDUNTIL=
  bool require_tls = false;                     ///< REQUIRETLS
  // AUTH= (RFC 4954 section 5) is checked and forgotten: we trust no client to vouch for another.
};

/// ESMTP parameters of RCPT.
struct rcpt_parameters {
  std::uint8_t notify = 0; ///< NOTIFY=; NEVER stands alone
  /// ORCPT= as written, "rfc822;ann+2Bnews@example.com": type and well-formed xtext of printable ASCII. Of the type
  /// `utf-8` characters outside ASCII stand here as "\x{HEX}" (RFC 6533 section 3), which every server understands.
  std::string original_recipient;
  bool utf8 = false; ///< it was written with such characters as they are, which needs SMTPUTF8
};

// One type for each command. Views point into the line that was parsed.
struct helo_command {
  std::string_view name;
  bool extended = false; ///< EHLO
};
struct mail_command {
  mail::address reverse_path;
  mail_parameters parameters;
};
struct rcpt_command {
  mail::address forward_path;
  rcpt_parameters parameters;
};
struct data_command {};
struct rset_command {};
struct noop_command {};
struct quit_command {};
struct starttls_command {};
struct vrfy_command {};
struct expn_command {};
struct help_command {};
/// RFC 3030 section 2.
struct bdat_command {
  std::uint64_t octets = 0; ///< that follow the line
  bool last = false;
  bool malformed = false; ///< nobody knows where the chunk ends
};
struct auth_command {
  std::string_view mechanism;                       ///< as given
  std::optional<std::string_view> initial_response; ///< base64; "=" for an empty one (RFC 4954 section 4)
};
/// Of Postfix; see xclient.hpp.
struct xclient_command {
  std::string_view arguments;
};
/// A line of another protocol, such as "GET / HTTP/1.1".
struct http_command {};

using any_command = std::variant<helo_command, mail_command, rcpt_command, data_command, rset_command, noop_command,
                                 quit_command, starttls_command, vrfy_command, expn_command, help_command, bdat_command,
                                 auth_command, xclient_command, http_command>;

/// What the session lets a client use; a parameter of what is off is unknown (555).
struct grammar {
  bool extended = true; ///< EHLO was given: parameters are legal at all
  bool size = true;
  bool eight_bit_mime = true;
  bool smtputf8 = true;
  bool auth = true; ///< for MAIL AUTH=
  bool dsn = true;
  bool binary_mime = true;
  bool mt_priority = true;
  bool deliver_by = true;
  bool future_release = true;
  bool require_tls = true; ///< REQUIRETLS
};

/// Parses one line without its CRLF, exact to RFC 5321 section 4.1, but tolerant of white space at the end (section
/// 4.1.1) and behind "FROM:" and "TO:", which many clients write. The error is the reply to give: 500 for what is no
/// command, 501 for bad arguments, 555 for unknown parameters. Linear; keeps nothing.
[[nodiscard]] std::expected<any_command, standard_reply> parse_command(std::string_view line, const grammar& allowed);

/// "MAIL", "RCPT" and so on in capitals; empty for what is no known command. For metrics and traces.
[[nodiscard]] std::string_view verb_of(std::string_view line) noexcept;

/// The octets a xtext stands for (RFC 3461 section 4); nothing when it is malformed.
[[nodiscard]] std::optional<std::string> decode_xtext(std::string_view text);

} // namespace hedwig::smtp
