// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hedwig::smtp {

/// Why a client hears a 4xx or a 5xx; what such replies are counted by. Every reply names one.
/// WARNING: the words are label values of hedwig_smtp_refusals_total; dashboards read them.
enum class refusal_reason : std::uint8_t {
  none,                ///< no refusal
  timeout,             ///< the client was silent too long
  connections,         ///< server.max_connections
  errors,              ///< server.max_errors
  messages,            ///< too many on one connection
  commands,            ///< too many octets of commands without a message
  shutdown,            ///< the relay stops
  killed,              ///< an operator ended the session
  internal,            ///< something of ours broke
  early_talker,        ///< it spoke before the greeting
  http,                ///< it does not speak SMTP
  unknown_command,     ///< no command of that name
  not_implemented,     ///< known, but not offered here
  line_too_long,       ///< a command line
  bare_line_end,       ///< a command line that ends without CR LF
  control_byte,        ///< in a command line
  syntax,              ///< arguments that cannot be read
  helo,                ///< a name in EHLO or HELO that is none
  parameter,           ///< of MAIL or RCPT: unknown, malformed, or given twice
  address,             ///< of MAIL or RCPT: malformed
  source_route,        ///< an address with one
  smtputf8,            ///< an address that needs SMTPUTF8 and came without
  sequence,            ///< a command out of order
  no_recipients,       ///< DATA where every recipient was refused
  chunk,               ///< a BDAT that cannot be taken
  recipients,          ///< too many in one message
  tls_required,        ///< STARTTLS must come first
  tls_unavailable,     ///< there is no TLS just now
  auth_required,       ///< AUTH must come first
  auth_needs_tls,      ///< AUTH in the clear
  auth_mechanism,      ///< a SASL mechanism that is not offered
  auth_malformed,      ///< an exchange that cannot be read
  auth_cancelled,      ///< by the client
  auth_failed,         ///< wrong credentials
  auth_unavailable,    ///< nobody could tell whether they are right
  auth_failures,       ///< server.max_auth_failures
  auth_locked,         ///< locked out for earlier failures
  relay,               ///< neither authenticated nor in relay_from
  sender,              ///< MAIL FROM that the user may not use
  from,                ///< header From that the user may not use
  client_limit,        ///< what a client may, by address, network, listener, user or sender domain
  proxy,               ///< no proxy of ours
  user_limit,          ///< what his provider allows the user
  filter,              ///< a filter said so
  message_size,        ///< announced or read
  header,              ///< too long, or none
  loop,                ///< too many Received fields
  message_line_end,    ///< a bare CR or LF in a message
  message_nul,         ///< NUL in a message
  message_line_length, ///< a line of a message
  memory,              ///< process.message_memory
  storage_full,        ///< no room in the spool
  storage,             ///< the store fails or is too busy
  other,               ///< a refusal that named no reason: a bug
};
inline constexpr std::size_t refusal_reasons = static_cast<std::size_t>(refusal_reason::other) + 1;

/// The word of the metric: "early_talker".
[[nodiscard]] std::string_view to_string_view(refusal_reason why) noexcept;

/// How often each reason was given. Any thread; a count is one relaxed addition.
class refusal_tally {
public:
  void add(refusal_reason why) noexcept { at(why).fetch_add(1, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t of(refusal_reason why) const noexcept {
    return counts_[static_cast<std::size_t>(why)].load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t total() const noexcept {
    std::uint64_t sum = 0;
    for (auto& one : counts_)
      sum += one.load(std::memory_order_relaxed);
    return sum;
  }

private:
  std::atomic<std::uint64_t>& at(refusal_reason why) noexcept { return counts_[static_cast<std::size_t>(why)]; }

  std::array<std::atomic<std::uint64_t>, refusal_reasons> counts_{};
};

} // namespace hedwig::smtp
