// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/base.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/mail/address.hpp"
#include "runtime/mail/header.hpp"
#include "runtime/smtp/refusal.hpp"

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
  refusal_reason why = refusal_reason::none; ///< of a 4xx or 5xx that we give

  [[nodiscard]] bool positive() const noexcept { return code >= 200 && code < 400; }
  [[nodiscard]] bool temporary() const noexcept { return code >= 400 && code < 500; }
  [[nodiscard]] bool permanent() const noexcept { return code >= 500; }
  friend bool operator==(const reply&, const reply&) = default;
};

/// A reply known at compile time; turns into a reply where one is wanted. A refusal without a reason does not compile.
struct standard_reply {
  int code;
  enhanced_status enhanced;
  std::string_view text;
  refusal_reason why;

  consteval standard_reply(int with_code, enhanced_status with_status, std::string_view with_text,
                           refusal_reason reason = refusal_reason::none)
    : code{with_code}, enhanced{with_status}, text{with_text}, why{reason} {
    if ((code >= 400) != (why != refusal_reason::none))
      throw "a 4xx or 5xx has a reason, and nothing else has";
  }

  operator reply() const { return {code, enhanced, std::string{text}, why}; } // NOLINT: meant to be implicit
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
inline constexpr standard_reply timed_out{421, {4, 4, 2}, "Timeout, closing connection", refusal_reason::timeout};
inline constexpr standard_reply session_too_long{
    421, {4, 4, 2}, "Session is too long, connect again", refusal_reason::timeout};
inline constexpr standard_reply client_connections{
    421, {4, 7, 0}, "Too many connections from you, try again later", refusal_reason::client_limit};
inline constexpr standard_reply client_connection_rate{
    421, {4, 7, 0}, "Too many new connections from you, try again later", refusal_reason::client_limit};
inline constexpr standard_reply too_many_connections{
    421, {4, 7, 0}, "Too many connections, try again later", refusal_reason::connections};
inline constexpr standard_reply too_many_errors{
    421, {4, 7, 0}, "Too many errors, closing connection", refusal_reason::errors};
inline constexpr standard_reply too_many_auth_failures{
    421, {4, 7, 0}, "Too many failed authentications, closing connection", refusal_reason::auth_failures};
inline constexpr standard_reply locked_out{
    421, {4, 7, 0}, "Too many failed authentications, try again later", refusal_reason::auth_locked};
inline constexpr standard_reply too_many_messages{
    421, {4, 7, 0}, "Too many messages on this connection", refusal_reason::messages};
inline constexpr standard_reply too_many_commands{
    421, {4, 7, 0}, "Too many commands without a message", refusal_reason::commands};
inline constexpr standard_reply shutting_down{
    421, {4, 3, 2}, "Service shutting down, try again later", refusal_reason::shutdown};
inline constexpr standard_reply killed{
    421, {4, 3, 2}, "Connection ended by the operator, try again later", refusal_reason::killed};
inline constexpr standard_reply session_failed{
    421, {4, 3, 0}, "Internal error, try again later", refusal_reason::internal};
inline constexpr standard_reply early_talker{
    554, {5, 5, 1}, "You spoke before the greeting", refusal_reason::early_talker};
inline constexpr standard_reply proxies_only{
    554, {5, 7, 1}, "Only our proxies may connect here", refusal_reason::proxy};
inline constexpr standard_reply not_http{554, {5, 5, 1}, "This is SMTP, not HTTP", refusal_reason::http};

// Commands: RFC 5321 section 4.2.4 tells them apart
inline constexpr standard_reply unknown_command{
    500, {5, 5, 1}, "Command not recognized", refusal_reason::unknown_command};
inline constexpr standard_reply line_too_long{500, {5, 5, 2}, "Line too long", refusal_reason::line_too_long};
inline constexpr standard_reply bad_bytes{500, {5, 5, 2}, "Control byte in command line", refusal_reason::control_byte};
inline constexpr standard_reply bare_line_end{
    500, {5, 5, 2}, "Lines must end with CR LF", refusal_reason::bare_line_end};
inline constexpr standard_reply syntax_error{501, {5, 5, 4}, "Syntax error in arguments", refusal_reason::syntax};
inline constexpr standard_reply no_arguments_allowed{
    501, {5, 5, 4}, "This command has no arguments", refusal_reason::syntax};
inline constexpr standard_reply bad_helo{
    501, {5, 5, 4}, "Give a domain name or an address literal", refusal_reason::helo};
inline constexpr standard_reply bad_parameter{501, {5, 5, 4}, "Bad parameter value", refusal_reason::parameter};
inline constexpr standard_reply repeated_parameter{501, {5, 5, 4}, "Parameter given twice", refusal_reason::parameter};
inline constexpr standard_reply bad_sender{501, {5, 1, 7}, "Bad sender address syntax", refusal_reason::address};
inline constexpr standard_reply bad_recipient{501, {5, 1, 3}, "Bad recipient address syntax", refusal_reason::address};
inline constexpr standard_reply sender_source_route{
    553, {5, 1, 7}, "Source routes are refused", refusal_reason::source_route};
inline constexpr standard_reply recipient_source_route{
    553, {5, 1, 3}, "Source routes are refused", refusal_reason::source_route};
inline constexpr standard_reply sender_needs_smtputf8{
    553, {5, 6, 7}, "Non-ASCII sender without SMTPUTF8", refusal_reason::smtputf8};
inline constexpr standard_reply recipient_needs_smtputf8{
    553, {5, 6, 7}, "Non-ASCII recipient without SMTPUTF8", refusal_reason::smtputf8};
inline constexpr standard_reply not_implemented{
    502, {5, 5, 1}, "Command not implemented", refusal_reason::not_implemented};
inline constexpr standard_reply bad_sequence{503, {5, 5, 1}, "Bad sequence of commands", refusal_reason::sequence};
inline constexpr standard_reply hello_first{503, {5, 5, 1}, "Send EHLO first", refusal_reason::sequence};
inline constexpr standard_reply nested_mail{503, {5, 5, 1}, "MAIL was already given", refusal_reason::sequence};
inline constexpr standard_reply mail_first{503, {5, 5, 1}, "Send MAIL first", refusal_reason::sequence};
inline constexpr standard_reply recipient_first{503, {5, 5, 1}, "Send RCPT first", refusal_reason::sequence};
inline constexpr standard_reply bad_chunk{
    501, {5, 5, 4}, "Bad chunk size, so nobody knows what follows; closing", refusal_reason::chunk};
inline constexpr standard_reply chunk_after_failure{
    503, {5, 5, 1}, "This message was refused; send RSET", refusal_reason::chunk};
inline constexpr standard_reply chunks_begun{503, {5, 5, 1}, "The message has begun with BDAT", refusal_reason::chunk};
inline constexpr standard_reply binary_needs_bdat{
    503, {5, 5, 1}, "BODY=BINARYMIME needs BDAT", refusal_reason::sequence};
inline constexpr standard_reply no_valid_recipients{
    554, {5, 5, 1}, "No valid recipients", refusal_reason::no_recipients};
inline constexpr standard_reply mechanism_unknown{
    504, {5, 5, 4}, "Authentication mechanism not supported", refusal_reason::auth_mechanism};
inline constexpr standard_reply unknown_parameter{
    555, {5, 5, 4}, "Parameter not recognized", refusal_reason::parameter};
inline constexpr standard_reply deliver_by_too_short{
    555, {5, 5, 4}, "Deliver-by time is below the minimum", refusal_reason::parameter};
inline constexpr standard_reply hold_too_long{
    501, {5, 5, 4}, "Longer than messages are held here", refusal_reason::parameter};
inline constexpr standard_reply too_many_recipients{452, {4, 5, 3}, "Too many recipients", refusal_reason::recipients};

// TLS and authentication
inline constexpr standard_reply tls_required{
    530, {5, 7, 0}, "Must issue a STARTTLS command first", refusal_reason::tls_required};
inline constexpr standard_reply tls_already{503, {5, 5, 1}, "TLS is active already", refusal_reason::sequence};
inline constexpr standard_reply tls_unavailable{
    454, {4, 7, 0}, "TLS not available due to temporary reason", refusal_reason::tls_unavailable};
inline constexpr standard_reply auth_required{530, {5, 7, 0}, "Authentication required", refusal_reason::auth_required};
inline constexpr standard_reply auth_needs_tls{
    538, {5, 7, 11}, "Encryption required for authentication", refusal_reason::auth_needs_tls};
inline constexpr standard_reply auth_already{503, {5, 5, 1}, "Already authenticated", refusal_reason::sequence};
inline constexpr standard_reply auth_failed{
    535, {5, 7, 8}, "Authentication credentials invalid", refusal_reason::auth_failed};
inline constexpr standard_reply auth_unavailable{
    454, {4, 7, 0}, "Temporary authentication failure", refusal_reason::auth_unavailable};
inline constexpr standard_reply auth_cancelled{
    501, {5, 7, 0}, "Authentication cancelled", refusal_reason::auth_cancelled};
inline constexpr standard_reply auth_malformed{
    501, {5, 5, 2}, "Malformed authentication response", refusal_reason::auth_malformed};
inline constexpr standard_reply auth_line_too_long{
    500, {5, 5, 6}, "Authentication exchange line is too long", refusal_reason::auth_malformed};

// Policy
inline constexpr standard_reply xclient_refused{550, {5, 7, 1}, "XCLIENT is not for you", refusal_reason::proxy};
inline constexpr standard_reply xclient_in_transaction{
    503, {5, 5, 1}, "A mail transaction is in progress", refusal_reason::sequence};
inline constexpr standard_reply overloaded{
    421, {4, 3, 2}, "Too busy for strangers now, try again later", refusal_reason::connections};
inline constexpr standard_reply relaying_denied{550, {5, 7, 1}, "Relaying denied", refusal_reason::relay};
inline constexpr standard_reply sender_not_owned{
    553, {5, 7, 1}, "This user may not send from that address", refusal_reason::sender};
inline constexpr standard_reply from_not_owned{
    550, {5, 7, 1}, "This user may not send with that From address", refusal_reason::from};
inline constexpr standard_reply user_connections{
    421, {4, 7, 0}, "Too many connections of this user", refusal_reason::user_limit};
inline constexpr standard_reply user_messages{
    450, {4, 7, 1}, "Too many messages of this user, try again later", refusal_reason::user_limit};
inline constexpr standard_reply user_recipients{
    450, {4, 7, 1}, "Too many recipients of this user, try again later", refusal_reason::user_limit};
inline constexpr standard_reply client_messages{
    450, {4, 7, 1}, "Too many messages from you, try again later", refusal_reason::client_limit};
inline constexpr standard_reply client_recipients{
    452, {4, 7, 1}, "Too many recipients from you, try again later", refusal_reason::client_limit};
inline constexpr standard_reply recipient_refused{550, {5, 7, 1}, "Recipient refused", refusal_reason::filter};
inline constexpr standard_reply message_refused{550, {5, 7, 1}, "Message refused", refusal_reason::filter};
inline constexpr standard_reply try_again_later{451, {4, 7, 1}, "Try again later", refusal_reason::filter};

// The message
inline constexpr standard_reply too_big{552, {5, 3, 4}, "Message size exceeds the limit", refusal_reason::message_size};
inline constexpr standard_reply header_too_big{
    552, {5, 3, 4}, "Message header exceeds the limit", refusal_reason::header};
inline constexpr standard_reply loop{554, {5, 4, 6}, "Too many hops, this is a mail loop", refusal_reason::loop};
/// 5.6.11 is not registered, but is what Exchange says for the same defect and what senders look for.
inline constexpr standard_reply bare_line_end_in_data{
    550, {5, 6, 11}, "Bare CR or LF in message", refusal_reason::message_line_end};
inline constexpr standard_reply nul_in_data{554, {5, 6, 0}, "NUL byte in message", refusal_reason::message_nul};
inline constexpr standard_reply binary_header{
    554, {5, 6, 0}, "Header of a binary message is no text", refusal_reason::header};
inline constexpr standard_reply line_too_long_in_data{
    554, {5, 6, 0}, "Line too long in message", refusal_reason::message_line_length};

// Storage
inline constexpr standard_reply no_space{452, {4, 3, 1}, "Insufficient system storage", refusal_reason::storage_full};
inline constexpr standard_reply out_of_memory{
    452, {4, 3, 1}, "Too busy to take the message now, try again later", refusal_reason::memory};
inline constexpr standard_reply local_error{451, {4, 3, 0}, "Local error, try again later", refusal_reason::storage};
inline constexpr standard_reply busy{451, {4, 3, 2}, "System busy, try again later", refusal_reason::storage};

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
