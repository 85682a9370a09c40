// SPDX-License-Identifier: Apache-2.0
#include "runtime/smtp/outcome.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "runtime/base/error.hpp"
#include "runtime/mail/dsn_text.hpp"

namespace hedwig::smtp {
namespace {

using enum disposition;

constexpr std::size_t detail_max = 256;

constexpr unsigned at(client_stage stage) { return 1U << static_cast<unsigned>(stage); }
constexpr unsigned anywhere = ~0U;
constexpr unsigned opening = at(client_stage::greeting) | at(client_stage::ehlo);

/// When a rule counts besides stage and code.
enum class only_if : std::uint8_t {
  always,
  too_many_after_some, ///< the enhanced code is X.5.3 or missing, and this transaction has an accepted recipient
};

struct reply_rule {
  unsigned stages;
  int first;
  int last;
  only_if condition;
  enum disposition disposition;
  next_step next;
  enhanced_status status; ///< when the server sent no usable one
};

/// The one place where a reply becomes a fate. The first rule that matches counts.
constexpr reply_rule reply_rules[] = {
    // 421 is said at any time by a server about to close (RFC 5321 3.8 and 4.2.2): nothing about the message.
    {anywhere, 421, 421, only_if::always, deferred, next_step::next_host, {4, 3, 2}},
    // Too many recipients: the rest goes in another transaction (RFC 5321 4.5.3.1.10, which also wants 552 read like
    // this
    // here, since RFC 821 had it so). Where nobody was accepted yet it is an ordinary 4yz or 5yz.
    {at(client_stage::rcpt), 452, 452, only_if::too_many_after_some, deferred, next_step::again, {4, 5, 3}},
    {at(client_stage::rcpt), 552, 552, only_if::too_many_after_some, deferred, next_step::again, {4, 5, 3}},
    // Authentication or encryption demanded or refused (RFC 4954, RFC 3207): what is wrong is between us and that host
    // and
    // can be mended by an operator; the recipient has nothing to do with it.
    {anywhere, 530, 530, only_if::always, deferred, next_step::next_host, {4, 7, 0}},
    {anywhere, 534, 535, only_if::always, deferred, next_step::next_host, {4, 7, 8}},
    {anywhere, 538, 538, only_if::always, deferred, next_step::next_host, {4, 7, 11}},
    {at(client_stage::auth), 500, 599, only_if::always, deferred, next_step::next_host, {4, 7, 0}},
    {at(client_stage::starttls), 500, 599, only_if::always, deferred, next_step::next_host, {4, 7, 4}},
    // RSET cannot fail in a sound server (RFC 5321 4.1.1.5): begin anew.
    {at(client_stage::reset), 400, 599, only_if::always, deferred, next_step::again, {4, 5, 0}},
    // This host takes no mail from us (RFC 5321 3.1, RFC 7504), another MX may: only the last one's word is final.
    {opening, 500, 599, only_if::always, failed, next_step::next_host, {5, 3, 2}},
    {anywhere, 500, 599, only_if::always, failed, next_step::none, {5, 0, 0}},
    {anywhere, 400, 499, only_if::always, deferred, next_step::next_host, {4, 0, 0}},
    {at(client_stage::final_dot), 200, 299, only_if::always, delivered, next_step::none, {2, 0, 0}},
    // What is left makes no sense where it was said. After the final dot it may mean anything.
    {at(client_stage::final_dot), 0, 999, only_if::always, unknown, next_step::none, {4, 5, 0}},
    {anywhere, 0, 999, only_if::always, deferred, next_step::next_host, {4, 5, 0}},
};

struct failure_rule {
  local_failure failure;
  enum disposition disposition;
  next_step next;
  enhanced_status status;
  std::string_view sentence;
};

constexpr failure_rule failure_rules[] = {
    {local_failure::connect_failed, deferred, next_step::next_host, {4, 4, 1}, "cannot connect"},
    {local_failure::connect_timeout, deferred, next_step::next_host, {4, 4, 1}, "no answer to the connection attempt"},
    {local_failure::connection_lost, deferred, next_step::next_host, {4, 4, 2}, "connection lost"},
    {local_failure::reply_timeout, deferred, next_step::next_host, {4, 4, 2}, "no reply in time"},
    {local_failure::malformed_reply, deferred, next_step::next_host, {4, 5, 0}, "the server broke the protocol"},
    {local_failure::unexpected_reply, deferred, next_step::next_host, {4, 5, 0}, "the reply does not fit the command"},
    {local_failure::tls_not_offered, deferred, next_step::next_host, {4, 7, 4}, "TLS is required and not offered"},
    {local_failure::tls_failed, deferred, next_step::next_host, {4, 7, 5}, "TLS failed"},
    {local_failure::auth_not_offered, deferred, next_step::next_host, {4, 7, 0}, "cannot authenticate"},
    {local_failure::smtputf8_missing, failed, next_step::next_host, {5, 6, 7}, "the server has no SMTPUTF8"},
    {local_failure::binary_missing, failed, next_step::next_host, {5, 6, 3}, "the server takes no binary messages"},
    {local_failure::requiretls_missing,
     failed,
     next_step::next_host,
     {5, 7, 30},
     "REQUIRETLS is asked for, and not to be had there"},
    {local_failure::deliver_by_missing,
     failed,
     next_step::next_host,
     {5, 3, 3},
     "a time to return it is set, and the server has no DELIVERBY"},
    {local_failure::deliver_by_over,
     failed,
     next_step::next_host,
     {5, 4, 7},
     "it cannot be delivered in the time that its sender gave"},
    {local_failure::message_too_big, failed, next_step::none, {5, 3, 4}, "message is bigger than the server takes"},
    {local_failure::bad_sender, failed, next_step::none, {5, 1, 7}, "the sender's address cannot be used in SMTP"},
    {local_failure::bad_recipient, failed, next_step::none, {5, 1, 3}, "the address cannot be used in SMTP"},
    {local_failure::dns_temporary, deferred, next_step::none, {4, 4, 3}, "DNS gives no answer"},
    {local_failure::no_such_domain, failed, next_step::none, {5, 1, 2}, "the domain does not exist"},
    {local_failure::no_mail_host, failed, next_step::none, {5, 4, 4}, "the domain has no mail host"},
    {local_failure::null_mx, failed, next_step::none, {5, 1, 10}, "the domain takes no mail"},
    {local_failure::mail_loop, failed, next_step::none, {5, 4, 6}, "the mail would come back to this relay"},
    {local_failure::shutting_down, deferred, next_step::none, {4, 3, 2}, "the relay is shutting down"},
    {local_failure::internal, deferred, next_step::none, {4, 3, 0}, "internal error"},
};

bool too_many(const server_reply& reply) {
  return reply.status.empty() || (reply.status.subject == 5 && reply.status.detail == 3);
}

const reply_rule& rule_for(client_stage stage, const server_reply& reply, bool accepted_some) {
  const auto matches = [&](const reply_rule& rule) {
    return (rule.stages & at(stage)) != 0 && reply.code >= rule.first && reply.code <= rule.last &&
           (rule.condition == only_if::always || (accepted_some && too_many(reply)));
  };
  const auto found = std::find_if(std::begin(reply_rules), std::end(reply_rules), matches);
  return found != std::end(reply_rules) ? *found : reply_rules[std::size(reply_rules) - 1];
}

/// RFC 3463 has three classes; ours must be the one we act on.
std::uint16_t class_of(enum disposition d) {
  if (d == delivered)
    return 2;
  return d == failed ? 5 : 4;
}

/// Lost with the whole message out: nobody can know (RFC 5321 4.5.3.2.6 and RFC 1047).
bool leaves_in_doubt(client_stage stage, local_failure failure) {
  switch (failure) {
  case local_failure::connection_lost:
  case local_failure::reply_timeout:
  case local_failure::malformed_reply:
  case local_failure::unexpected_reply:
  case local_failure::shutting_down:
  case local_failure::internal:
    return stage == client_stage::final_dot;
  default:
    return false;
  }
}

} // namespace

verdict classify(client_stage stage, const server_reply& reply, bool accepted_some) {
  const reply_rule& rule = rule_for(stage, reply, accepted_some);
  verdict v{rule.disposition, rule.next, stage, reply.code, rule.status, reply.text};
  if (!reply.status.empty()) {
    v.status = reply.status;
    v.status.status_class = class_of(v.disposition);
  }
  if (v.text.empty())
    v.text = "(the server gave no reason)";
  return v;
}

verdict classify(client_stage stage, local_failure failure, std::string_view detail) {
  const auto found = std::find_if(std::begin(failure_rules), std::end(failure_rules),
                                  [failure](const failure_rule& rule) { return rule.failure == failure; });
  if (found == std::end(failure_rules))
    panic("a local failure without a rule");
  verdict v{found->disposition, found->next, stage, 0, found->status, std::string{found->sentence}};
  if (leaves_in_doubt(stage, failure)) {
    v.disposition = unknown;
    v.next = next_step::none;
  }
  if (const std::string more = mail::sanitise_peer_text(detail, detail_max); !more.empty())
    v.text = more.starts_with(found->sentence) ? more : v.text + ": " + more; // not twice the same
  return v;
}

std::vector<recipient_outcome> spread(const verdict& v, std::span<const std::size_t> recipients,
                                      std::string_view remote_host, std::string_view remote_ip, bool tls) {
  std::vector<recipient_outcome> out;
  out.reserve(recipients.size());
  for (const std::size_t recipient : recipients)
    out.push_back({recipient, v.disposition, v.next, v.stage, v.reply_code, v.status, v.text, std::string{remote_host},
                   std::string{remote_ip}, tls});
  return out;
}

std::string recipient_outcome::summary() const {
  return reply_code != 0 ? fmt::format("{} {} {}", reply_code, status.text(), text)
                         : fmt::format("{} {}", status.text(), text);
}

std::string_view to_string_view(enum disposition value) noexcept {
  switch (value) {
  case delivered:
    return "delivered";
  case deferred:
    return "deferred";
  case failed:
    return "failed";
  case unknown:
    return "unknown";
  }
  return "unknown";
}

std::string_view to_string_view(client_stage value) noexcept {
  static constexpr std::array<std::string_view, 15> names{"resolve",   "connect",   "greeting", "ehlo", "starttls",
                                                          "handshake", "auth",      "mail",     "rcpt", "data",
                                                          "body",      "final dot", "reset",    "idle", "quit"};
  const auto index = static_cast<std::size_t>(value);
  return index < names.size() ? names[index] : "unknown";
}

} // namespace hedwig::smtp
