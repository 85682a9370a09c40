// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/base/buffer.hpp"
#include "runtime/base/clock.hpp"
#include "runtime/base/memory_budget.hpp"
#include "runtime/base/message_id.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hedwig::queue {

/// Most recipients of one message that the queue takes and reads back.
inline constexpr std::size_t recipients_max = 10'000;
/// Most bytes of a Subject kept beside a message for the log.
inline constexpr std::size_t subject_size_max = 256;

/// BODY= of RFC 6152 and RFC 3030. WARNING: the numbers are on disk.
enum class body_type : std::uint8_t { seven_bit = 0, eight_bit_mime = 1, binary_mime = 2 };

/// NOTIFY= of RFC 3461, or-ed; 0 when the client gave none. WARNING: the bits are on disk.
inline constexpr std::uint8_t notify_never = 1;
inline constexpr std::uint8_t notify_success = 2;
inline constexpr std::uint8_t notify_failure = 4;
inline constexpr std::uint8_t notify_delay = 8;

/// MT-PRIORITY= of RFC 6710; a message without one has 0.
inline constexpr int priority_min = -9;
inline constexpr int priority_max = 9;

/// RET= of RFC 3461: what of the message a report of its failure brings back.
enum class return_type : std::uint8_t { unsaid, full, headers };

/// BY= of RFC 2852, from the moment on in which the message came.
struct deliver_by {
  wall_time until{};
  bool return_it = false; ///< undelivered by then, it goes back; else its sender is told, and it is tried on
  bool trace = false;     ///< its sender is told of each relay that passed it on

  friend bool operator==(const deliver_by&, const deliver_by&) = default;
};

/// One RCPT TO.
struct recipient {
  std::string address;          ///< without angle brackets, as the client gave it: "Ann@example.com"
  std::string original_address; ///< ORCPT= as xtext ("rfc822;ann+2Bnews@example.com"), empty when absent
  std::uint8_t notify = 0;

  /// Whether the sender is to hear of such an end (RFC 3461 section 4.1). Unsaid, that is failures and delays.
  [[nodiscard]] bool hears_of(std::uint8_t event) const noexcept {
    return ((notify == 0 ? notify_failure | notify_delay : notify) & event) != 0;
  }
  friend bool operator==(const recipient&, const recipient&) = default;
};

/// What MAIL and RCPT said, as given: the header never changes it.
struct envelope {
  std::string reverse_path; ///< without angle brackets; empty is the null reverse-path "<>"
  std::vector<recipient> recipients;
  body_type body = body_type::seven_bit;
  bool smtputf8 = false;
  return_type returns = return_type::unsaid;
  std::string envelope_id;             ///< ENVID= as xtext, empty when absent
  std::optional<std::int8_t> priority; ///< MT-PRIORITY= of RFC 6710, -9 to 9
  std::optional<queue::deliver_by> deliver_by;
  wall_time held_until{};        ///< not tried before (RFC 4865); the epoch: it was not asked for
  bool require_tls = false;      ///< REQUIRETLS of RFC 8689
  bool tls_not_required = false; ///< its header says "TLS-Required: No" (RFC 8689 section 5)

  [[nodiscard]] bool null_sender() const noexcept { return reverse_path.empty(); }
  friend bool operator==(const envelope&, const envelope&) = default;
};

/// Who handed the message over.
struct received_facts {
  wall_time time{};
  std::string peer_address; ///< "192.0.2.1" or "2001:db8::1"; empty for messages of our own (DSNs)
  std::uint16_t peer_port = 0;
  std::string helo;     ///< as the client said it: unchecked text, escape before use
  std::string listener; ///< "127.0.0.1:2525"
  std::string user;     ///< the authenticated identity, empty without AUTH
  std::string protocol; ///< the `with` of RFC 3848: "SMTP", "ESMTPSA"

  friend bool operator==(const received_facts&, const received_facts&) = default;
};

/// A message as it was taken. Never changes after it is made, so every actor may hold it by `message_ptr`.
struct message {
  message_id id;
  queue::envelope envelope;
  received_facts received;
  std::vector<std::string> from_domains; ///< lower-case domains of header From, in order; they choose the DKIM key
  std::string subject;                   ///< for the log only, at most subject_size_max bytes, unescaped
  std::uint64_t size = 0;                ///< bytes of the body as stored
  std::optional<rope> body;              ///< header and content with CRLF line ends; absent when not loaded
  memory_hold memory;                    ///< what the body takes of the budget; null where nobody counts it
};

using message_ptr = std::shared_ptr<const message>;

/// The same message with its body loaded (or, with nullopt, unloaded); shares all bytes.
[[nodiscard]] message_ptr with_body(const message& known, std::optional<rope> body, memory_hold memory = {});

/// The part after the last '@' in lower case (ASCII only), without a trailing dot: "example.com", "[192.0.2.1]".
/// Empty when there is no '@' or nothing follows it.
[[nodiscard]] std::string domain_of(std::string_view address);

} // namespace hedwig::queue
