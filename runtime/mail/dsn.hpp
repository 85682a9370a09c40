// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/clock.hpp"

namespace hedwig::mail {

enum class dsn_kind : std::uint8_t {
  failure, ///< given up for these recipients; Action: failed
  delay,   ///< still trying; Action: delayed
  relayed, ///< handed over to a server that tells nobody what becomes of it; Action: relayed
};

/// What is said about one recipient. Texts may be raw: make_dsn sanitises, cuts and folds all of them.
struct dsn_recipient {
  std::string final_recipient;    ///< the address that was tried, without <>
  std::string original_recipient; ///< ORCPT as received ("rfc822;user+2Btag@example.com"); may be empty
  std::string status;             ///< RFC 3463, "5.1.1"; anything else is replaced by 5.0.0, 4.0.0 or 2.0.0
  std::string remote_mta;         ///< host name of the server that answered; empty: nobody was reached
  std::string remote_ip;          ///< its address, for people; may be empty
  int reply_code = 0;             ///< of the server; 0: `text` is our own finding
  std::string text;               ///< the server's text without the code, or our own finding
  std::optional<wall_time> last_attempt;
  std::optional<wall_time> will_retry_until; ///< used by dsn_kind::delay
  std::uint32_t attempts = 0;                ///< 0: not mentioned
};

/// Everything a report is made of; there is no clock and no randomness inside make_dsn.
struct dsn_report {
  dsn_kind kind = dsn_kind::failure;
  std::string reporting_mta; ///< our host name
  std::string from;          ///< address of the From field, ASCII; empty: MAILER-DAEMON at reporting_mta
  std::string sender;        ///< reverse-path of the original: who gets this. Must not be empty (no bounce of a bounce)
  std::string envelope_id;   ///< ENVID as received; empty: field left out
  std::string unique;        ///< letters and digits nobody else uses: left part of Message-ID, middle of the boundary
  wall_time now{};           ///< Date
  wall_time arrival{};       ///< when the original was taken
  std::optional<wall_time> deliver_by; ///< its sender wanted it there by then (RFC 2852)
  std::string queue_id;                ///< our name of the original, for the postmaster who reads the log; may be empty
  std::vector<dsn_recipient> recipients;
  std::string_view original_headers;   ///< header section of the original, any line ends; borrowed for the call
  std::size_t headers_max = 32 * 1024; ///< bytes of it that go in
  /// The whole of the original, which then goes back instead of its header (RFC 3461 section 5.2.6: of failures only);
  /// empty: the header alone. Borrowed. One that no report can carry (NUL, line ends other than CRLF, lines over 998
  /// bytes) goes back as its header.
  std::string_view original;
  std::size_t recipients_max = 1000; ///< more than this are counted in the text and not listed
};

/// A finished notification: CRLF line ends, no line over 998 bytes, not dot-stuffed. Its reverse-path is null (<>).
struct dsn_message {
  std::string text;
  bool is_8bit = false;        ///< has bytes over 127: BODY=8BITMIME
  bool needs_smtputf8 = false; ///< the address of the sender is not ASCII: its header field needs RFC 6531
};

/// Makes the multipart/report of RFC 3462 with message/delivery-status (RFC 3464) or, as soon as an address is not
/// ASCII, message/global-delivery-status (RFC 6533), and the original's header section. Thread: any.
[[nodiscard]] dsn_message make_dsn(const dsn_report& report);

} // namespace hedwig::mail
