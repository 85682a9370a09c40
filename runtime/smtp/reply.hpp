// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/base.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/mail/address.hpp"
#include "runtime/mail/header.hpp"

namespace hedwig::smtp {

/// Octets of one reply line with its CRLF, RFC 5321 section 4.5.3.1.5.
inline constexpr std::size_t reply_line_octets_max = 512;
/// Lines of one reply that we send.
inline constexpr std::size_t reply_lines_max = 32;

/// RFC 3463 "class.subject.detail"; class 0 is none.
struct enhanced_status {
  std::uint16_t status_class = 0;
  std::uint16_t subject = 0;
  std::uint16_t detail = 0;

  [[nodiscard]] constexpr bool empty() const noexcept { return status_class == 0; }
  /// "5.7.1"; empty text when there is none.
  [[nodiscard]] std::string text() const;
  friend constexpr bool operator==(const enhanced_status&, const enhanced_status&) = default;
};

/// One reply to one command. `text` may have several lines, divided by '\n', without codes.
struct reply {
  int code = 250;
  enhanced_status enhanced;
  std::string text;

  [[nodiscard]] bool positive() const noexcept { return code >= 200 && code < 400; }
  [[nodiscard]] bool temporary() const noexcept { return code >= 400 && code < 500; }
  [[nodiscard]] bool permanent() const noexcept { return code >= 500; }
  friend bool operator==(const reply&, const reply&) = default;
};

/// A reply known at compile time; turns into a reply where one is wanted.
struct standard_reply {
  int code;
  enhanced_status enhanced;
  std::string_view text;

  operator reply() const { return {code, enhanced, std::string{text}}; } // NOLINT: meant to be implicit
};

/// Appends the wire form: code, "-" or space, enhanced status on every line, text, CRLF. Lines are wrapped at
/// reply_line_octets_max; control bytes become "?", and so does non-ASCII unless `utf8` (RFC 6531 section 3.7.4.2) and
/// the text is well-formed. Whatever stands in the text, nothing can look like another reply.
void append_wire(std::string& out, const reply& what, bool utf8 = false);
void append_wire(std::string& out, const standard_reply& what);
[[nodiscard]] std::string to_wire(const reply& what);

/// Every reply that the server side gives with a fixed text, in one place.
namespace replies {

// Success
inline constexpr standard_reply ok{250, {2, 0, 0}, "Ok"};
inline constexpr standard_reply sender_ok{250, {2, 1, 0}, "Ok"};
inline constexpr standard_reply recipient_ok{250, {2, 1, 5}, "Ok"};
inline constexpr standard_reply start_data{354, {}, "End data with <CR><LF>.<CR><LF>"};
inline constexpr standard_reply goodbye{221, {2, 0, 0}, "Bye"};
inline constexpr standard_reply start_tls{220, {2, 0, 0}, "Ready to start TLS"};
inline constexpr standard_reply authenticated{235, {2, 7, 0}, "Authentication succeeded"};
inline constexpr standard_reply cannot_verify{252, {2, 1, 5}, "Not verified; send mail and see"};
inline constexpr standard_reply help{214, {2, 0, 0}, "EHLO HELO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT"};

// The session ends (421, or a refused connection)
inline constexpr standard_reply timed_out{421, {4, 4, 2}, "Timeout, closing connection"};
inline constexpr standard_reply session_too_long{421, {4, 4, 2}, "Session is too long, connect again"};
inline constexpr standard_reply client_connections{421, {4, 7, 0}, "Too many connections from you, try again later"};
inline constexpr standard_reply client_connection_rate{
    421, {4, 7, 0}, "Too many new connections from you, try again later"};
inline constexpr standard_reply too_many_connections{421, {4, 7, 0}, "Too many connections, try again later"};
inline constexpr standard_reply too_many_errors{421, {4, 7, 0}, "Too many errors, closing connection"};
inline constexpr standard_reply too_many_auth_failures{
    421, {4, 7, 0}, "Too many failed authentications, closing connection"};
inline constexpr standard_reply locked_out{421, {4, 7, 0}, "Too many failed authentications, try again later"};
inline constexpr standard_reply too_many_messages{421, {4, 7, 0}, "Too many messages on this connection"};
inline constexpr standard_reply too_many_commands{421, {4, 7, 0}, "Too many commands without a message"};
inline constexpr standard_reply shutting_down{421, {4, 3, 2}, "Service shutting down, try again later"};
inline constexpr standard_reply session_failed{421, {4, 3, 0}, "Internal error, try again later"};
inline constexpr standard_reply early_talker{554, {5, 5, 1}, "You spoke before the greeting"};
inline constexpr standard_reply proxies_only{554, {5, 7, 1}, "Only our proxies may connect here"};
inline constexpr standard_reply not_http{554, {5, 5, 1}, "This is SMTP, not HTTP"};

// Commands: RFC 5321 section 4.2.4 tells them apart
inline constexpr standard_reply unknown_command{500, {5, 5, 1}, "Command not recognized"};
inline constexpr standard_reply line_too_long{500, {5, 5, 2}, "Line too long"};
inline constexpr standard_reply bad_bytes{500, {5, 5, 2}, "Control byte in command line"};
inline constexpr standard_reply bare_line_end{500, {5, 5, 2}, "Lines must end with CR LF"};
inline constexpr standard_reply syntax_error{501, {5, 5, 4}, "Syntax error in arguments"};
inline constexpr standard_reply no_arguments_allowed{501, {5, 5, 4}, "This command has no arguments"};
inline constexpr standard_reply bad_helo{501, {5, 5, 4}, "Give a domain name or an address literal"};
inline constexpr standard_reply bad_parameter{501, {5, 5, 4}, "Bad parameter value"};
inline constexpr standard_reply repeated_parameter{501, {5, 5, 4}, "Parameter given twice"};
inline constexpr standard_reply bad_sender{501, {5, 1, 7}, "Bad sender address syntax"};
inline constexpr standard_reply bad_recipient{501, {5, 1, 3}, "Bad recipient address syntax"};
inline constexpr standard_reply sender_source_route{553, {5, 1, 7}, "Source routes are refused"};
inline constexpr standard_reply recipient_source_route{553, {5, 1, 3}, "Source routes are refused"};
inline constexpr standard_reply sender_needs_smtputf8{553, {5, 6, 7}, "Non-ASCII sender without SMTPUTF8"};
inline constexpr standard_reply recipient_needs_smtputf8{553, {5, 6, 7}, "Non-ASCII recipient without SMTPUTF8"};
inline constexpr standard_reply not_implemented{502, {5, 5, 1}, "Command not implemented"};
inline constexpr standard_reply bad_sequence{503, {5, 5, 1}, "Bad sequence of commands"};
inline constexpr standard_reply hello_first{503, {5, 5, 1}, "Send EHLO first"};
inline constexpr standard_reply nested_mail{503, {5, 5, 1}, "MAIL was already given"};
inline constexpr standard_reply mail_first{503, {5, 5, 1}, "Send MAIL first"};
inline constexpr standard_reply recipient_first{503, {5, 5, 1}, "Send RCPT first"};
inline constexpr standard_reply bad_chunk{501, {5, 5, 4}, "Bad chunk size, so nobody knows what follows; closing"};
inline constexpr standard_reply chunk_after_failure{503, {5, 5, 1}, "This message was refused; send RSET"};
inline constexpr standard_reply chunks_begun{503, {5, 5, 1}, "The message has begun with BDAT"};
inline constexpr standard_reply binary_needs_bdat{503, {5, 5, 1}, "BODY=BINARYMIME needs BDAT"};
inline constexpr standard_reply no_valid_recipients{554, {5, 5, 1}, "No valid recipients"};
inline constexpr standard_reply mechanism_unknown{504, {5, 5, 4}, "Authentication mechanism not supported"};
inline constexpr standard_reply unknown_parameter{555, {5, 5, 4}, "Parameter not recognized"};
inline constexpr standard_reply deliver_by_too_short{555, {5, 5, 4}, "Deliver-by time is below the minimum"};
inline constexpr standard_reply hold_too_long{501, {5, 5, 4}, "Longer than messages are held here"};
inline constexpr standard_reply too_many_recipients{452, {4, 5, 3}, "Too many recipients"};

// TLS and authentication
inline constexpr standard_reply tls_required{530, {5, 7, 0}, "Must issue a STARTTLS command first"};
inline constexpr standard_reply tls_already{503, {5, 5, 1}, "TLS is active already"};
inline constexpr standard_reply tls_unavailable{454, {4, 7, 0}, "TLS not available due to temporary reason"};
inline constexpr standard_reply auth_required{530, {5, 7, 0}, "Authentication required"};
inline constexpr standard_reply auth_needs_tls{538, {5, 7, 11}, "Encryption required for authentication"};
inline constexpr standard_reply auth_already{503, {5, 5, 1}, "Already authenticated"};
inline constexpr standard_reply auth_failed{535, {5, 7, 8}, "Authentication credentials invalid"};
inline constexpr standard_reply auth_unavailable{454, {4, 7, 0}, "Temporary authentication failure"};
inline constexpr standard_reply auth_cancelled{501, {5, 7, 0}, "Authentication cancelled"};
inline constexpr standard_reply auth_malformed{501, {5, 5, 2}, "Malformed authentication response"};
inline constexpr standard_reply auth_line_too_long{500, {5, 5, 6}, "Authentication exchange line is too long"};

// Policy
inline constexpr standard_reply relaying_denied{550, {5, 7, 1}, "Relaying denied"};
inline constexpr standard_reply sender_not_owned{553, {5, 7, 1}, "This user may not send from that address"};
inline constexpr standard_reply from_not_owned{550, {5, 7, 1}, "This user may not send with that From address"};
inline constexpr standard_reply user_connections{421, {4, 7, 0}, "Too many connections of this user"};
inline constexpr standard_reply user_messages{450, {4, 7, 1}, "Too many messages of this user, try again later"};
inline constexpr standard_reply user_recipients{450, {4, 7, 1}, "Too many recipients of this user, try again later"};
inline constexpr standard_reply client_messages{450, {4, 7, 1}, "Too many messages from you, try again later"};
inline constexpr standard_reply client_recipients{452, {4, 7, 1}, "Too many recipients from you, try again later"};
inline constexpr standard_reply recipient_refused{550, {5, 7, 1}, "Recipient refused"};
inline constexpr standard_reply message_refused{550, {5, 7, 1}, "Message refused"};
inline constexpr standard_reply try_again_later{451, {4, 7, 1}, "Try again later"};

// The message
inline constexpr standard_reply too_big{552, {5, 3, 4}, "Message size exceeds the limit"};
inline constexpr standard_reply header_too_big{552, {5, 3, 4}, "Message header exceeds the limit"};
inline constexpr standard_reply loop{554, {5, 4, 6}, "Too many hops, this is a mail loop"};
/// 5.6.11 is not registered, but is what Exchange says for the same defect and what senders look for.
inline constexpr standard_reply bare_line_end_in_data{550, {5, 6, 11}, "Bare CR or LF in message"};
inline constexpr standard_reply nul_in_data{554, {5, 6, 0}, "NUL byte in message"};
inline constexpr standard_reply binary_header{554, {5, 6, 0}, "Header of a binary message is no text"};
inline constexpr standard_reply line_too_long_in_data{554, {5, 6, 0}, "Line too long in message"};

// Storage
inline constexpr standard_reply no_space{452, {4, 3, 1}, "Insufficient system storage"};
inline constexpr standard_reply out_of_memory{452, {4, 3, 1}, "Too busy to take the message now, try again later"};
inline constexpr standard_reply local_error{451, {4, 3, 0}, "Local error, try again later"};
inline constexpr standard_reply busy{451, {4, 3, 2}, "System busy, try again later"};

} // namespace replies

/// The one table from SDK statuses to replies, for a message that the store (or the way to it) did not take.
/// HEDWIG_OK is replies::ok; unknown values are replies::local_error.
[[nodiscard]] const standard_reply& storage_reply(hedwig_status status) noexcept;
/// The same for a failed authentication: 535 for wrong credentials or an unknown user, which look alike; else 454.
[[nodiscard]] const standard_reply& auth_reply(hedwig_status status) noexcept;
[[nodiscard]] const standard_reply& header_reply(mail::header_fault fault) noexcept;
/// MAIL and RCPT with an address that is none.
[[nodiscard]] const standard_reply& sender_reply(mail::address_fault fault) noexcept;
[[nodiscard]] const standard_reply& recipient_reply(mail::address_fault fault) noexcept;

} // namespace hedwig::smtp
