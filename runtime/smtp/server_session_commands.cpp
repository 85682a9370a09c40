// SPDX-License-Identifier: Apache-2.0
// What each command does.
#include <algorithm>

#include "runtime/base/ascii.hpp"
#include "runtime/smtp/server_session.hpp"
#include "runtime/smtp/server_session_detail.hpp"

namespace hedwig::smtp {

void server_session::on_line(std::string_view line) {
  if (sasl_) {
    on_auth_line(line);
    return;
  }
  ++counters_.commands;
  auto& offered = *settings_;
  auto parsed =
      parse_command(line, {.extended = extended_ || !greeted_,
                           .size = offered.size,
                           .eight_bit_mime = offered.eight_bit_mime,
                           .smtputf8 = offered.smtputf8,
                           .auth = std::ranges::any_of(offered.mechanisms, [this](auto& one) { return offers(one); }),
                           .dsn = offered.dsn,
                           .binary_mime = offered.chunking && offered.binary_mime,
                           .mt_priority = offered.mt_priority,
                           .deliver_by = offered.deliver_by,
                           .future_release = offers_future_release(),
                           .require_tls = offered.requiretls && tls()});
  if (!parsed)
    bad(parsed.error());
  else if (offered.require_tls && !tls() && !legal_before_tls(*parsed))
    bad(replies::tls_required);
  else
    std::visit([this](auto& what) { on(what); }, *parsed);
}

// RFC 3207 section 4.
bool server_session::legal_before_tls(const any_command& what) const noexcept {
  return std::holds_alternative<helo_command>(what) || std::holds_alternative<noop_command>(what) ||
         std::holds_alternative<rset_command>(what) || std::holds_alternative<quit_command>(what) ||
         std::holds_alternative<starttls_command>(what) || std::holds_alternative<http_command>(what) ||
         std::holds_alternative<bdat_command>(what); // which is refused there, with its chunk
}

void server_session::on(helo_command& what) {
  reset_transaction();
  helo_ = what.name;
  greeted_ = true;
  extended_ = what.extended;
  ask_owner<ask::check_helo>(std::string_view{helo_}, extended_);
}

void server_session::say_hello() {
  output_.append(extended_ ? "250-" : "250 ").append(settings_->hostname).append("\r\n");
  if (extended_)
    say_extensions();
}

bool server_session::offers_starttls() const noexcept { return settings_->starttls && !tls(); }

bool server_session::offers(std::string_view mechanism) const noexcept {
  auto question = question_of_mechanism(mechanism);
  auto& can = facts_.can;
  // Clients bind by tls-unique under TLS 1.2, which is not safe everywhere and is not had (RFC 9266 section 3).
  auto binding = can.channel_binding && facts_.tls && facts_.tls->version == "TLSv1.3";
  if (!question || (binds_channel(mechanism) && !binding))
    return false;
  switch (*question) {
  case sasl_question::password:
    return can.passwords;
  case sasl_question::token:
    return can.tokens;
  case sasl_question::external:
    return facts_.tls && facts_.tls->external;
  default:
    return can.scram;
  }
}

bool server_session::offers_auth() const noexcept {
  return identity_.empty() && (tls() || settings_->auth_in_clear) &&
         std::ranges::any_of(settings_->mechanisms, [this](auto& one) { return offers(one); });
}

void server_session::say_extensions() {
  auto& offered = *settings_;
  if (offered.pipelining)
    output_ += "250-PIPELINING\r\n";
  if (offered.size)
    output_.append("250-SIZE ").append(std::to_string(message_size_max())).append("\r\n");
  if (offered.eight_bit_mime)
    output_ += "250-8BITMIME\r\n";
  if (offered.smtputf8)
    output_ += "250-SMTPUTF8\r\n";
  if (offered.dsn)
    output_ += "250-DSN\r\n";
  if (offered.chunking)
    output_ += "250-CHUNKING\r\n";
  if (offered.chunking && offered.binary_mime)
    output_ += "250-BINARYMIME\r\n";
  if (offered.tell_limits)
    output_.append("250-LIMITS MAILMAX=")
        .append(std::to_string(offered.limits.messages_max))
        .append(" RCPTMAX=")
        .append(std::to_string(offered.limits.recipients_max))
        .append("\r\n");
  say_delivery_extensions();
  if (facts_.may_xclient)
    output_.append("250-XCLIENT ").append(xclient_names).append(facts_.may_xclient_login ? " LOGIN\r\n" : "\r\n");
  if (offers_starttls())
    output_ += "250-STARTTLS\r\n";
  if (offers_auth()) {
    output_ += "250-AUTH";
    for (auto& mechanism : offered.mechanisms)
      if (offers(mechanism))
        output_.append(" ").append(mechanism);
    output_ += "\r\n";
  }
  output_ += "250 ENHANCEDSTATUSCODES\r\n";
}

// RFC 4865 is for submission: to whom AUTH is offered.
bool server_session::offers_future_release() const noexcept {
  return settings_->future_release && settings_->hold_max.count() > 0 && now_ != wall_time{} &&
         (!identity_.empty() || offers_auth());
}

void server_session::say_delivery_extensions() {
  auto& offered = *settings_;
  if (offered.mt_priority)
    output_ += "250-MT-PRIORITY\r\n";
  if (offered.deliver_by)
    output_.append("250-DELIVERBY")
        .append(offered.deliver_by_min.count() > 0 ? " " + std::to_string(offered.deliver_by_min.count()) : "")
        .append("\r\n");
  if (offers_future_release())
    output_.append("250-FUTURERELEASE ")
        .append(std::to_string(offered.hold_max.count()))
        .append(" ")
        .append(date_time_text(now_ + offered.hold_max))
        .append("\r\n");
  if (offered.requiretls && tls())
    output_ += "250-REQUIRETLS\r\n";
}

void server_session::limit_priority(int most) {
  if (!question_ || !std::holds_alternative<ask::check_mail>(*question_))
    return;
  auto& asked = transaction_->parameters.priority;
  priority_lowered_ = asked && *asked > most;
  if (priority_lowered_)
    asked = most;
}

void server_session::say_sender_ok() {
  if (std::exchange(priority_lowered_, false))
    say(reply{250, {2, 3, 6}, std::to_string(*transaction_->parameters.priority) + " is the priority it gets"});
  else
    say(replies::sender_ok);
}

const standard_reply* server_session::refusal_of(const mail_command& what) const noexcept {
  if (!greeted_)
    return &replies::hello_first;
  if (settings_->require_auth && identity_.empty())
    return &replies::auth_required;
  if (transaction_)
    return &replies::nested_mail;
  if (what.parameters.size && *what.parameters.size > message_size_max())
    return &replies::too_big;
  if (!what.parameters.smtputf8 && what.reverse_path.needs_smtputf8())
    return &replies::sender_needs_smtputf8;
  if ((what.parameters.hold_for || what.parameters.hold_until) && identity_.empty())
    return &replies::auth_required;
  auto& by = what.parameters.deliver_by;
  if (by && by->return_it && by->within < settings_->deliver_by_min)
    return &replies::deliver_by_too_short;
  return nullptr;
}

void server_session::on(mail_command& what) {
  if (auto* refusal = refusal_of(what)) {
    bad(*refusal);
    return;
  }
  if (counters_.messages_accepted + counters_.messages_refused >= settings_->limits.messages_max) {
    finish(replies::too_many_messages, ask::end_reason::too_many_messages);
    return;
  }
  priority_lowered_ = false;
  transaction_.emplace(transaction{std::move(what.reverse_path), std::move(what.parameters), {}});
  ask_owner<ask::check_mail>(transaction_->reverse_path, transaction_->parameters);
}

const standard_reply* server_session::refusal_of(const rcpt_command& what) const noexcept {
  if (!transaction_)
    return greeted_ ? &replies::mail_first : &replies::hello_first;
  if (chunks_ != chunks::none)
    return &replies::chunks_begun;
  if (!transaction_->parameters.smtputf8 && (what.forward_path.needs_smtputf8() || what.parameters.utf8))
    return &replies::recipient_needs_smtputf8;
  return nullptr;
}

void server_session::on(rcpt_command& what) {
  recipients_tried_ = recipients_tried_ || transaction_;
  if (auto* refusal = refusal_of(what)) {
    bad(*refusal);
    return;
  }
  if (transaction_->recipients.size() >= settings_->limits.recipients_max) {
    // No mistake of the client's (RFC 5321 section 4.5.3.1.10), so it is not counted as one.
    ++counters_.recipients_refused;
    say(replies::too_many_recipients);
    return;
  }
  candidate_.emplace(recipient{std::move(what.forward_path), std::move(what.parameters)});
  ask_owner<ask::check_recipient>(candidate_->forward_path, candidate_->parameters, *transaction_);
}

void server_session::on(data_command&) {
  if (!transaction_)
    bad(greeted_ ? replies::mail_first : replies::hello_first);
  else if (chunks_ != chunks::none)
    bad(replies::chunks_begun);
  else if (transaction_->parameters.body == body_type::binary)
    bad(replies::binary_needs_bdat);
  else if (!transaction_->recipients.empty())
    ask_owner<ask::check_data>(*transaction_);
  else
    bad(recipients_tried_ ? replies::no_valid_recipients : replies::recipient_first);
}

void server_session::on(rset_command&) {
  reset_transaction();
  say(replies::ok);
}

void server_session::on(noop_command&) { say(replies::ok); }

void server_session::on(quit_command&) { finish(replies::goodbye, ask::end_reason::quit); }

void server_session::on(starttls_command&) {
  if (tls()) {
    bad(replies::tls_already);
  } else if (!settings_->starttls) {
    bad(replies::not_implemented);
  } else {
    say(replies::start_tls);
    ask_owner<ask::start_tls>();
  }
}

void server_session::on(vrfy_command&) { say(replies::cannot_verify); }

void server_session::on(expn_command&) { bad(replies::not_implemented); }

void server_session::on(help_command&) {
  reply answer = replies::help;
  if (offers_starttls())
    answer.text += " STARTTLS";
  if (offers_auth())
    answer.text += " AUTH";
  if (settings_->chunking)
    answer.text += " BDAT";
  say(answer);
}

// Whatever is wrong with a BDAT, its chunk follows, and must not be read as commands.
const standard_reply* server_session::refusal_of(const bdat_command&) const noexcept {
  if (!settings_->chunking)
    return &replies::not_implemented;
  if (settings_->require_tls && !tls())
    return &replies::tls_required;
  if (!transaction_)
    return greeted_ ? &replies::mail_first : &replies::hello_first;
  if (chunks_ == chunks::failed)
    return &replies::chunk_after_failure;
  if (transaction_->recipients.empty())
    return recipients_tried_ ? &replies::no_valid_recipients : &replies::recipient_first;
  return nullptr;
}

void server_session::on(bdat_command& what) {
  if (what.malformed) {
    finish(replies::bad_chunk, ask::end_reason::bad_chunk);
    return;
  }
  chunk_ = chunk{.octets = what.octets, .left = what.octets, .last = what.last, .refusal = refusal_of(what)};
  if (chunk_->refusal != nullptr) {
    if (chunk_->left == 0)
      end_of_chunk();
  } else if (chunks_ == chunks::none) {
    ask_owner<ask::check_data>(*transaction_);
  } else {
    begin_chunk();
  }
}

void server_session::on(xclient_command& what) {
  if (!facts_.may_xclient) {
    bad(settings_->xclient ? replies::xclient_refused : replies::not_implemented);
    return;
  }
  if (transaction_) {
    bad(replies::xclient_in_transaction);
    return;
  }
  if (auto who = parse_xclient(what.arguments, facts_.may_xclient_login))
    ask_owner<ask::xclient>(std::move(*who));
  else
    bad(who.error());
}

void server_session::on(http_command&) { finish(replies::not_http, ask::end_reason::http); }

// RFC 4954 section 4.
const standard_reply* server_session::refusal_of(const auth_command& what) const noexcept {
  auto& offered = settings_->mechanisms;
  auto is_offered = [this](auto& known) { return offers(known); };
  auto is_meant = [&](auto& known) { return offers(known) && ascii::equal_ignoring_case(what.mechanism, known); };
  if (std::ranges::none_of(offered, is_offered))
    return &replies::not_implemented;
  if (!extended_)
    return &replies::hello_first;
  if (!identity_.empty())
    return &replies::auth_already;
  if (transaction_)
    return &replies::bad_sequence;
  if (!tls() && !settings_->auth_in_clear)
    return &replies::auth_needs_tls;
  if (std::ranges::none_of(offered, is_meant))
    return &replies::mechanism_unknown;
  return nullptr;
}

void server_session::on(auth_command& what) {
  if (auto* refusal = refusal_of(what)) {
    bad(*refusal);
    return;
  }
  mechanism_ = what.mechanism;
  std::ranges::transform(mechanism_, mechanism_.begin(),
                         [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  auto plus =
      std::ranges::any_of(settings_->mechanisms, [this](auto& one) { return binds_channel(one) && offers(one); });
  sasl_ = make_sasl_exchange(mechanism_, {.offers_channel_binding = plus, .make_nonce = settings_->make_nonce});
  login_failed_ = false;
  if (!what.initial_response)
    continue_auth(std::nullopt);
  else if (*what.initial_response == "=")
    continue_auth("");
  else
    decode_and_continue_auth(*what.initial_response);
}

void server_session::on_auth_line(std::string_view line) {
  if (line != "*") {
    decode_and_continue_auth(line);
    return;
  }
  sasl_.reset();
  if (login_failed_ && counters_.auth_failures >= settings_->limits.auth_failures_max)
    say_auth_failed();
  else
    bad(replies::auth_cancelled);
}

void server_session::decode_and_continue_auth(std::string_view base64) {
  auto response = decode_base64(base64);
  if (!response) {
    sasl_.reset();
    bad(replies::auth_malformed);
    return;
  }
  continue_auth(*response);
  wipe(*response);
}

void server_session::continue_auth(std::optional<std::string_view> response) { take_auth_step(sasl_->step(response)); }

void server_session::take_auth_step(sasl_step next) {
  if (auto* challenge = std::get_if<sasl_challenge>(&next)) {
    output_.append("334 ").append(encode_base64(challenge->text)).append("\r\n");
  } else if (auto* who = std::get_if<credentials>(&next)) {
    ask_owner<ask::authenticate>(mechanism_, std::move(*who));
  } else if (auto* proved = std::get_if<sasl_proved>(&next)) {
    ask_owner<ask::settle_login>(mechanism_, std::move(proved->username), true, std::string_view{});
  } else if (auto* refused = std::get_if<sasl_refused>(&next)) {
    ask_owner<ask::settle_login>(mechanism_, std::move(refused->username), false, refused->why);
  } else if (std::holds_alternative<sasl_heard>(next)) {
    sasl_.reset();
    say_auth_failed();
  } else {
    sasl_.reset();
    bad(replies::auth_malformed);
  }
}

bool server_session::answers_login() {
  if (!answers<ask::authenticate>() && !answers<ask::settle_login>())
    return false;
  sasl_.reset();
  return true;
}

void server_session::scram_keys_found(scram_keys keys, std::string_view binding) {
  if (ended_)
    return;
  if (!answers<ask::authenticate>())
    panic("server_session: scram_keys_found() without a question");
  take_auth_step(sasl_->keys_found(std::move(keys), binding));
}

void server_session::authenticated(std::string identity) {
  if (ended_)
    return;
  if (identity.empty() || !answers_login())
    panic("server_session: authenticated() without an identity or a question");
  identity_ = std::move(identity);
  say(replies::authenticated);
}

void server_session::auth_failed() {
  if (ended_)
    return;
  if (!answers<ask::authenticate>() && !answers<ask::settle_login>())
    panic("server_session: auth_failed() without a question");
  ++counters_.auth_failures;
  if (auto notice = sasl_->failure_notice()) {
    login_failed_ = true;
    take_auth_step(sasl_challenge{std::move(*notice)});
    return;
  }
  sasl_.reset();
  say_auth_failed();
}

void server_session::say_auth_failed() {
  if (counters_.auth_failures >= settings_->limits.auth_failures_max)
    finish(replies::too_many_auth_failures, ask::end_reason::too_many_auth_failures);
  else
    say(replies::auth_failed);
}

void server_session::auth_unavailable() {
  if (ended_)
    return;
  if (!answers_login())
    panic("server_session: auth_unavailable() without a question");
  say(replies::auth_unavailable);
}

} // namespace hedwig::smtp
