// SPDX-License-Identifier: Apache-2.0
#include "runtime/smtp/refusal.hpp"

namespace hedwig::smtp {

namespace {

// In the order of the enumeration.
constexpr std::array<std::string_view, refusal_reasons> refusal_words{
    "none",
    "timeout",
    "connections",
    "errors",
    "messages",
    "commands",
    "shutdown",
    "killed",
    "internal",
    "early_talker",
    "http",
    "unknown_command",
    "not_implemented",
    "line_too_long",
    "bare_line_end",
    "control_byte",
    "syntax",
    "helo",
    "parameter",
    "address",
    "source_route",
    "smtputf8",
    "sequence",
    "no_recipients",
    "chunk",
    "recipients",
    "tls_required",
    "tls_unavailable",
    "auth_required",
    "auth_needs_tls",
    "auth_mechanism",
    "auth_malformed",
    "auth_cancelled",
    "auth_failed",
    "auth_unavailable",
    "auth_failures",
    "auth_locked",
    "relay",
    "sender",
    "from",
    "client_limit",
    "proxy",
    "user_limit",
    "filter",
    "message_size",
    "header",
    "loop",
    "message_line_end",
    "message_nul",
    "message_line_length",
    "memory",
    "storage_full",
    "storage",
    "other",
};
static_assert(refusal_words[static_cast<std::size_t>(refusal_reason::relay)] == "relay");
static_assert(refusal_words[static_cast<std::size_t>(refusal_reason::storage)] == "storage");

} // namespace

std::string_view to_string_view(refusal_reason why) noexcept { return refusal_words[static_cast<std::size_t>(why)]; }

} // namespace hedwig::smtp
