// SPDX-License-Identifier: Apache-2.0
// What a session makes of the rights of its user.
#include "actors/session.hpp"

#include "runtime/mail/header.hpp"
#include "runtime/smtp/user_senders.hpp"
#include "runtime/telemetry/log.hpp"

#include <algorithm>

namespace hedwig {

using telemetry::component;
using telemetry::level;
using verdict = smtp::user_limits::verdict;
using login_verdict = smtp::login_guard::verdict;

namespace {

/// Bytes of a user name that a client made up and the log tells; escaped there.
constexpr std::size_t logged_user_max = 128;

/// Tokens and certificates are not guessed, so that whoever names a user beside a wrong one says nothing about him.
bool is_guessed(std::string_view mechanism) {
  auto question = smtp::question_of_mechanism(mechanism);
  return question != smtp::sasl_question::token && question != smtp::sasl_question::external;
}

} // namespace

smtp::sasl_abilities session::abilities() const {
  auto& providers = relay().plugins.auth;
  auto any = [&](bool (plugin::auth_provider::*can)() const noexcept) {
    return std::ranges::any_of(providers, [&](auto& one) { return (*one.*can)(); });
  };
  return {.passwords = any(&plugin::auth_provider::verifies_passwords),
          .tokens = any(&plugin::auth_provider::verifies_tokens),
          .scram = any(&plugin::auth_provider::fetches_scram),
          .channel_binding = true};
}

bool session::answer(smtp::ask::authenticate& question) {
  if (entering_ || denying_)
    return false; // filters look at the user; or the answer to a failure waits
  if (locked_out(question)) {
    relay().counts.auth(question.mechanism, "locked").add();
    protocol_->refuse(smtp::replies::locked_out);
    return true;
  }
  if (question.who.question == smtp::sasl_question::external)
    return log_in_by_certificate(question);
  ask_providers(question);
  return false;
}

void session::ask_providers(smtp::ask::authenticate& question) {
  auto* info = stream_->tls();
  plugin::auth_request request{.mechanism = question.mechanism,
                               .username = question.who.username,
                               .authorize_as = question.who.authorize_as,
                               .peer = protocol_->facts().peer_ip,
                               .listener = listener_settings().name,
                               .session = std::to_string(id()),
                               .tls = protocol_->tls(),
                               .client_certificate = info != nullptr && info->peer_verified,
                               .secret = std::string{question.who.password.view()}};
  monitor(handles_->authenticator); // told at once also when it is gone already
  send(handles_->authenticator,
       authenticate{std::move(request), question.who.question, caf::actor_cast<caf::actor>(this), ++token_});
}

bool session::answer(const smtp::ask::settle_login& question) {
  if (entering_ || denying_)
    return false;
  auto who = std::exchange(proving_, nullptr);
  if (question.right && who && who->status == HEDWIG_OK) {
    relay().counts.auth(question.mechanism, "success").add();
    relay().logins.succeeded(counted_address(), question.username);
    log_in(*who);
    return !entering_;
  }
  // Copies: a denial without delay ends the question.
  auto mechanism = question.mechanism;
  auto user = question.username;
  return deny(mechanism, user, question.why);
}

void session::on_authenticator_lost() {
  if (closing_ || !is_open<smtp::ask::authenticate>())
    return;
  // Temporary: the client's next connection finds the one that was started instead.
  relay().counts.auth(std::get<smtp::ask::authenticate>(*protocol_->pending()).mechanism, "unavailable").add();
  protocol_->auth_unavailable();
  go_on();
}

void session::on_authenticated(authenticated& outcome) {
  if (outcome.token == token_)
    demonitor(handles_->authenticator->address());
  if (closing_ || outcome.token != token_ || !is_open<smtp::ask::authenticate>())
    return;
  // Copies: the answer ends the question.
  auto& question = std::get<smtp::ask::authenticate>(*protocol_->pending());
  auto mechanism = question.mechanism;
  auto user = question.who.username;
  if (outcome.keys) {
    auto keys = std::move(*outcome.keys);
    auto& type = question.who.channel_binding;
    auto binding = type.empty() ? std::string{} : stream_->channel_binding(type);
    proving_ = std::make_unique<authenticated>(std::move(outcome));
    protocol_->scram_keys_found(std::move(keys), binding);
  } else if (outcome.status == HEDWIG_OK) {
    relay().counts.auth(mechanism, "success").add();
    relay().logins.succeeded(counted_address(), question.who.username);
    log_in(outcome);
  } else if (outcome.status == HEDWIG_E_DENIED || outcome.status == HEDWIG_E_NOT_FOUND) {
    deny(mechanism, user, {});
  } else {
    relay().counts.auth(mechanism, "unavailable").add();
    protocol_->auth_unavailable();
  }
  go_on();
}

std::string session::counted_address() const { return smtp::login_guard::key_of(client_.octets()); }

bool session::locked_out(const smtp::ask::authenticate& question) {
  auto user = is_guessed(question.mechanism) ? std::string_view{question.who.username} : std::string_view{};
  auto found = relay().logins.look(counted_address(), user, relay().time.steady());
  if (found == login_verdict::address_locked && peer_may_relay_)
    found = login_verdict::open;
  if (found == login_verdict::open)
    return false;
  auto by_address = found == login_verdict::address_locked;
  relay().counts.limit_hit(by_address ? "server.auth_failures_per_address" : "server.auth_failures_per_user").add();
  return true;
}

bool session::deny(const std::string& mechanism, std::string_view user, std::string_view reason) {
  auto& server = policy_->settings.server;
  relay().counts.auth(mechanism, "denied").add();
  telemetry::log(level::warn, component::session, {"auth.denied", "credentials refused"},
                 {{"peer", node().label},
                  {"listener", listener_settings().name},
                  {"user", user.substr(0, logged_user_max)},
                  {"mechanism", mechanism},
                  {"reason", reason}});
  auto counted_user = is_guessed(mechanism) ? user : std::string_view{};
  auto locked = relay().logins.failed(peer_may_relay_ ? std::string{} : counted_address(), counted_user,
                                      {.failures_per_address = server.auth_failures_per_address,
                                       .failures_per_user = server.auth_failures_per_user,
                                       .window = server.auth_failure_window,
                                       .lockout = server.auth_lockout},
                                      relay().time.steady());
  if (locked != login_verdict::open)
    telemetry::log(level::warn, component::session, {"auth.locked", "too many failed logins: locked out for a while"},
                   {{"peer", node().label},
                    {"user", user.substr(0, logged_user_max)},
                    {"what", locked == login_verdict::address_locked ? "address" : "user"},
                    {"for_ms", server.auth_lockout}});
  denying_ = server.auth_failure_delay > config::duration{0};
  if (denying_)
    timer_->start(server.auth_failure_delay);
  else
    protocol_->auth_failed();
  return !denying_;
}

smtp::user_allowance session::allowance() const noexcept {
  return {.connections = user_limits_.connections,
          .messages_per_hour = user_limits_.messages_per_hour,
          .recipients_per_day = user_limits_.recipients_per_day};
}

void session::log_in(authenticated& outcome) {
  user_limits_ = outcome.limits;
  if (!relay().users.enter(outcome.identity, allowance())) {
    relay().counts.limit_hit("user.connections").add();
    telemetry::log(level::warn, component::session, {"auth.limited", "a user reached a limit of his own"},
                   {{"peer", node().label},
                    {"listener", listener_settings().name},
                    {"user", outcome.identity},
                    {"limit", "connections"}});
    user_limits_ = {};
    protocol_->refuse(smtp::replies::user_connections);
    return;
  }
  user_ = outcome.identity;
  if (!enter_as_user()) {
    log_out();
    protocol_->refuse(smtp::replies::user_connections);
    return;
  }
  senders_ = std::move(outcome.senders);
  user_facts_ = std::move(outcome.facts);
  entering_ = true;
  if (auto verdict = filters_.empty() ? plugin::verdict{} : filters_.auth(filter_view()))
    let_in(*verdict);
}

void session::let_in(const plugin::verdict& verdict) {
  entering_ = false;
  using action = plugin::verdict_action;
  if (verdict.action == action::reject || verdict.action == action::tempfail || verdict.action == action::disconnect) {
    log_out();
    apply(verdict);
    return;
  }
  protocol_->authenticated(user_);
  if (relay().traces.epoch() != 0) [[unlikely]]
    look_at_traces();
  if (user_limits_.message_size != 0)
    protocol_->limit_message_size(user_limits_.message_size);
}

void session::log_out() {
  if (!user_.empty())
    relay().users.leave(user_);
  relay().clients.leave(user_counted_);
  user_counted_.clear();
  user_.clear();
  senders_.clear();
  user_facts_.reset();
  entering_ = false;
  user_limits_ = {};
  proving_.reset();
  trace_epoch_ = ~std::uint64_t{0}; // a trace of the user is not one of whoever follows
}

bool session::tolerate_sender(std::string_view sender, const char* where, const char* reason) {
  auto refused = listener_settings().sender_policy == config::foreign_sender::refuse;
  relay().counts.refused(reason).add(refused ? 1 : 0);
  telemetry::log(level::warn, component::session,
                 {"session.foreign-sender", "a user gave a sender that his provider does not allow"},
                 {{"peer", node().label},
                  {"listener", listener_settings().name},
                  {"user", user_},
                  {"sender", sender},
                  {"where", where},
                  {"action", refused ? "refused" : "accepted"}});
  return !refused;
}

bool session::may_send_as(const mail::address& reverse_path) {
  return listener_settings().sender_policy == config::foreign_sender::off ||
         smtp::may_use_sender(senders_, reverse_path) || tolerate_sender(reverse_path.text(), "MAIL FROM", "sender");
}

/// Every address in every From field counts (of every Sender field, where there is no From), and what cannot be read
/// whole may be another than was found in it.
bool session::may_write_from(const mail::prepared& header) {
  if (senders_.empty() || listener_settings().sender_policy == config::foreign_sender::off ||
      header.from_fields + header.senders_without_from == 0)
    return true;
  const char* where = header.from_fields != 0 ? "From" : "Sender";
  for (auto& text : header.from_addresses) {
    auto address = mail::address::parse(text);
    if (!address || !smtp::may_use_sender(senders_, *address))
      return tolerate_sender(text, where, "from");
  }
  return (header.from_complete && !header.from_addresses.empty()) || tolerate_sender("(not readable)", where, "from");
}

const smtp::standard_reply* session::user_limit_of(verdict found) {
  if (found == verdict::within)
    return nullptr;
  auto messages = found == verdict::messages;
  auto* limit = messages ? "messages_per_hour" : "recipients_per_day";
  relay().counts.limit_hit(messages ? "user.messages_per_hour" : "user.recipients_per_day").add();
  relay().counts.refused("user").add();
  telemetry::log(level::warn, component::session, {"auth.limited", "a user reached a limit of his own"},
                 {{"peer", node().label}, {"listener", listener_settings().name}, {"user", user_}, {"limit", limit}});
  return messages ? &smtp::replies::user_messages : &smtp::replies::user_recipients;
}

const smtp::standard_reply* session::look_at_user(std::size_t recipients) {
  if (user_.empty())
    return nullptr;
  return user_limit_of(relay().users.look(user_, allowance(), recipients, relay().time.steady()));
}

/// What his provider says of a message that is there. One that may pass counts against his limits.
const smtp::standard_reply* session::refuse_to_user(const mail::prepared& header, std::size_t recipients) {
  if (!may_write_from(header))
    return &smtp::replies::from_not_owned;
  auto* limit = user_.empty()
                    ? nullptr
                    : user_limit_of(relay().users.take(user_, allowance(), recipients, relay().time.steady()));
  return limit != nullptr ? limit : take_for_client(recipients);
}

} // namespace hedwig
