// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/smtp/reply_reader.hpp"

namespace hedwig::smtp {

/// What became of one recipient in one attempt.
enum class disposition : std::uint8_t {
  delivered, ///< the server took responsibility: never tried again
  deferred,  ///< may work later
  failed,    ///< will not work: bounce
  unknown,   ///< everything was sent, the answer is missing: tried again, counted, may be a duplicate
};

/// What the owner should try before it settles for the disposition. Without that possibility (no other host, limit of
/// attempts reached) the disposition stands as it is.
enum class next_step : std::uint8_t {
  none,      ///< nothing: the disposition is the answer
  next_host, ///< the next MX or address may do better (RFC 5321 5.1); also when the disposition is `failed`
  again,     ///< same host at once: a new transaction on this connection if it is still open, else a new connection
};

/// Where in the conversation something happened.
enum class client_stage : std::uint8_t {
  resolve,   ///< DNS, before any connection
  connect,   ///< TCP
  greeting,  ///< waiting for 220
  ehlo,      ///< EHLO or HELO
  starttls,  ///< the STARTTLS command
  handshake, ///< TLS itself
  auth,
  mail,
  rcpt,
  data,      ///< the DATA command
  body,      ///< sending, final dot not yet given out
  final_dot, ///< everything given out
  reset,     ///< RSET
  idle,      ///< between transactions
  quit,
};

/// Failures that no reply of a server stands for.
enum class local_failure : std::uint8_t {
  connect_failed,     ///< 4.4.1 refused, unreachable
  connect_timeout,    ///< 4.4.1
  connection_lost,    ///< 4.4.2 (after the final dot: unknown)
  reply_timeout,      ///< 4.4.2 (after the final dot: unknown)
  malformed_reply,    ///< 4.5.0 (after the final dot: unknown)
  unexpected_reply,   ///< 4.5.0 a reply of the wrong class (after the final dot: unknown)
  tls_not_offered,    ///< 4.7.4 policy wants TLS, the server has none
  tls_failed,         ///< 4.7.5 handshake or certificate
  auth_not_offered,   ///< 4.7.0 we have credentials, the server offers no mechanism we may use here
  smtputf8_missing,   ///< 5.6.7 RFC 6531 3.2
  binary_missing,     ///< 5.6.3 RFC 3030 section 3
  requiretls_missing, ///< 5.7.30 RFC 8689 section 4.2.1: no TLS, a certificate that is not good, or no REQUIRETLS
  deliver_by_missing, ///< 5.3.3 RFC 2852 section 4.1.4
  deliver_by_over,    ///< 5.4.7 RFC 2852: the time is over, or too short for the server
  message_too_big,    ///< 5.3.4 RFC 1870 6.1
  bad_sender,         ///< 5.1.7 reverse-path that cannot be put on the wire
  bad_recipient,      ///< 5.1.3 forward-path that cannot be put on the wire
  dns_temporary,      ///< 4.4.3 SERVFAIL, timeout
  no_such_domain,     ///< 5.1.2 NXDOMAIN
  no_mail_host,       ///< 5.4.4 neither MX nor address
  null_mx,            ///< 5.1.10 RFC 7505
  mail_loop,          ///< 5.4.6 the next hop is ourselves
  shutting_down,      ///< 4.3.2 our own decision, nothing was sent
  internal,           ///< 4.3.0
};

/// Judgement without an address: of one reply or one local failure.
struct verdict {
  enum disposition disposition = disposition::deferred;
  next_step next = next_step::none;
  client_stage stage = client_stage::connect;
  int reply_code = 0;     ///< of the server; 0: our own finding
  enhanced_status status; ///< always set; the server's when it sent a usable one and we agree with its class
  std::string text;       ///< sanitised; the server's text, or our own sentence
};

/// A verdict with everything the log line, the spool and a DSN want to know.
struct recipient_outcome {
  std::size_t recipient = 0; ///< transaction_recipient::index
  enum disposition disposition = disposition::deferred;
  next_step next = next_step::none;
  client_stage stage = client_stage::connect;
  int reply_code = 0;
  enhanced_status status;
  std::string text;
  std::string remote_host; ///< name the host was found by
  std::string remote_ip;   ///< address that was connected to; empty when none was
  bool tls = false;        ///< the attempt ran inside TLS at that moment

  /// "550 5.1.1 no such user", as for a log; "4.4.2 connection lost" without a code.
  [[nodiscard]] std::string summary() const;
};

/// Judges a reply that ends something: any at final_dot, elsewhere one that is not the hoped-for one. The one table is
/// in outcome.cpp. `accepted_some`: at `rcpt`, whether this transaction already has an accepted recipient, which
/// decides whether "too many recipients" is worth a second transaction.
[[nodiscard]] verdict classify(client_stage stage, const server_reply& reply, bool accepted_some = false);

/// Judges a failure without a reply; `detail` (sanitised here) is added to the sentence: a host name, errno text.
[[nodiscard]] verdict classify(client_stage stage, local_failure failure, std::string_view detail = {});

/// One outcome for each of `recipients` from one verdict.
[[nodiscard]] std::vector<recipient_outcome> spread(const verdict& v, std::span<const std::size_t> recipients,
                                                    std::string_view remote_host, std::string_view remote_ip, bool tls);

/// "delivered", "deferred", "failed", "unknown"; "rcpt", "final dot": for logs and metrics.
[[nodiscard]] std::string_view to_string_view(disposition value) noexcept;
[[nodiscard]] std::string_view to_string_view(client_stage value) noexcept;

} // namespace hedwig::smtp
