// SPDX-License-Identifier: Apache-2.0
#include "runtime/smtp/client_session.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "runtime/base/ascii.hpp"
#include "runtime/base/error.hpp"
#include "runtime/mail/address.hpp"
#include "runtime/smtp/sasl.hpp"

namespace hedwig::smtp {
namespace {

/// RFC 5321 4.5.3.1.3 has 256 for a path; more is allowed for SMTPUTF8 and for old addresses that are longer.
constexpr std::size_t path_max = 512;
/// Parameters of one command that are passed on.
constexpr std::size_t parameters_max = 1024;

std::string_view take_word(std::string_view& text) {
  const std::string_view word = text.substr(0, text.find(' '));
  text.remove_prefix(std::min(word.size() + 1, text.size()));
  return word;
}

/// Last defence, whoever checked before: nothing that ends the path or the line may stand inside <>.
bool safe_path(std::string_view path) {
  if (path.size() > path_max)
    return false;
  bool quoted = false;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const char c = path[i];
    if (ascii::is_control(c) || (!quoted && (c == '<' || c == '>' || c == ' ')))
      return false;
    if (c == '"')
      quoted = !quoted;
    else if (c == '\\' && quoted && ++i < path.size() && ascii::is_control(path[i]))
      return false;
  }
  return !quoted;
}

bool safe_parameters(std::string_view text) {
  return text.size() <= parameters_max && std::none_of(text.begin(), text.end(), ascii::is_control);
}

/// No reply of this stage's good kind: refused (4yz, 5yz) or nonsense.
bool refused(const server_reply& reply) { return reply.reply_class() == 4 || reply.reply_class() == 5; }
bool granted(const server_reply& reply) { return reply.reply_class() == 2; }
constexpr int closing = 421;

std::string protocol_detail(const server_reply& reply) { return fmt::format("{} {}", reply.code, reply.text); }

} // namespace

client_session::client_session(client_options options) : options_{std::move(options)}, reader_{options_.replies} {}

// ---- input

void client_session::feed(std::string_view bytes) {
  // What comes behind the 220 to STARTTLS in clear text is dropped with the rest of `bytes` (response injection).
  while (!bytes.empty() && state_ != state::handshake && state_ != state::closed) {
    const reply_reader::progress p = reader_.feed(bytes);
    if (p == reply_reader::progress::need_more)
      return;
    if (p == reply_reader::progress::malformed)
      return fail(local_failure::malformed_reply, reader_.problem());
    on_reply(reader_.take());
  }
}

void client_session::on_reply(const server_reply& reply) {
  switch (state_) {
  case state::greeting:
    return on_greeting(reply);
  case state::ehlo:
    return on_ehlo(reply);
  case state::helo:
    return on_helo(reply);
  case state::starttls:
    return on_starttls(reply);
  case state::auth:
    return on_auth(reply);
  case state::idle:
    return on_idle(reply);
  case state::envelope:
    return on_expected(reply);
  case state::body:
    return on_body(reply);
  case state::final_dot:
    return on_final_dot(reply);
  case state::lone_dot:
    return on_lone_dot(reply);
  case state::quitting:
    return close({}, true);
  case state::handshake:
  case state::closed:
    return;
  }
}

void client_session::on_greeting(const server_reply& reply) {
  if (refused(reply))
    return fail(classify(client_stage::greeting, reply), true); // RFC 5321 3.1: QUIT after 554
  if (reply.code != 220)
    return fail(local_failure::unexpected_reply, protocol_detail(reply));
  send_ehlo();
}

void client_session::on_ehlo(const server_reply& reply) {
  if (granted(reply)) {
    read_capabilities(reply);
    return after_ehlo();
  }
  if (reply.reply_class() != 5)
    return refused(reply) ? fail(classify(client_stage::ehlo, reply), true)
                          : fail(local_failure::unexpected_reply, protocol_detail(reply));
  // A server older than extensions (RFC 5321 3.2). It has no STARTTLS either.
  if (!tls_ && (options_.tls == tls_mode::require || options_.tls == tls_mode::verify))
    return fail(tls_missing(local_failure::tls_not_offered), options_.remote_host + " refused EHLO: " + reply.text,
                true);
  state_ = state::helo;
  say("HELO " + options_.helo_name);
}

void client_session::on_helo(const server_reply& reply) {
  if (!granted(reply))
    return refused(reply) ? fail(classify(client_stage::ehlo, reply), true)
                          : fail(local_failure::unexpected_reply, protocol_detail(reply));
  capabilities_ = {};
  std::string_view first = reply.lines.front();
  capabilities_.name = take_word(first);
  after_ehlo();
}

void client_session::on_starttls(const server_reply& reply) {
  if (reply.code == 220) {
    state_ = state::handshake;
    events_.emplace_back(client_start_tls{});
    return;
  }
  if (reply.code == closing)
    return fail(classify(client_stage::starttls, reply));
  if (!refused(reply))
    return fail(local_failure::unexpected_reply, protocol_detail(reply));
  if (options_.tls != tls_mode::opportunistic)
    return fail(classify(client_stage::starttls, reply), true);
  start_auth();
}

void client_session::on_idle(const server_reply& reply) {
  if (refused(reply))
    return fail(classify(client_stage::idle, reply));
  fail(local_failure::unexpected_reply, "a reply without a command");
}

// ---- opening

void client_session::say(std::string_view line) {
  commands_ += line;
  commands_ += "\r\n";
}

void client_session::send_ehlo() {
  state_ = state::ehlo;
  capabilities_ = {};
  say("EHLO " + options_.helo_name);
}

void client_session::read_capabilities(const server_reply& reply) {
  capabilities_ = {};
  capabilities_.esmtp = true;
  std::string_view first = reply.lines.front();
  capabilities_.name = take_word(first);
  for (std::size_t i = 1; i < reply.lines.size(); ++i) {
    std::string_view rest = reply.lines[i];
    const std::string_view keyword = take_word(rest);
    if (ascii::equal_ignoring_case(keyword, "PIPELINING"))
      capabilities_.pipelining = true;
    else if (ascii::equal_ignoring_case(keyword, "8BITMIME"))
      capabilities_.eightbitmime = true;
    else if (ascii::equal_ignoring_case(keyword, "SMTPUTF8"))
      capabilities_.smtputf8 = true;
    else if (ascii::equal_ignoring_case(keyword, "STARTTLS"))
      capabilities_.starttls = true;
    else if (ascii::equal_ignoring_case(keyword, "DSN"))
      capabilities_.dsn = true;
    else if (ascii::equal_ignoring_case(keyword, "CHUNKING"))
      capabilities_.chunking = true;
    else if (ascii::equal_ignoring_case(keyword, "BINARYMIME"))
      capabilities_.binarymime = true;
    else if (ascii::equal_ignoring_case(keyword, "MT-PRIORITY"))
      capabilities_.mt_priority = true;
    else if (ascii::equal_ignoring_case(keyword, "REQUIRETLS"))
      capabilities_.requiretls = true;
    else if (ascii::equal_ignoring_case(keyword, "DELIVERBY"))
      read_deliver_by(take_word(rest));
    else if (ascii::equal_ignoring_case(keyword, "SIZE"))
      read_size(take_word(rest));
    else if (ascii::equal_ignoring_case(keyword, "AUTH"))
      read_mechanisms(rest);
  }
}

/// RFC 1870: no number or 0 is no limit; one beyond 64 bits is none that matters.
void client_session::read_size(std::string_view number) {
  capabilities_.size = true;
  std::uint64_t value = 0;
  const auto [end, failure] = std::from_chars(number.data(), number.data() + number.size(), value);
  capabilities_.size_max = failure == std::errc{} && end == number.data() + number.size() ? value : 0;
}

void client_session::read_deliver_by(std::string_view minimum) {
  capabilities_.deliver_by = true;
  capabilities_.deliver_by_min = parse_hold_for(minimum).value_or(std::chrono::seconds{0});
}

void client_session::read_mechanisms(std::string_view list) {
  while (!list.empty()) {
    const std::string_view mechanism = take_word(list);
    capabilities_.auth_plain |= ascii::equal_ignoring_case(mechanism, "PLAIN");
    capabilities_.auth_login |= ascii::equal_ignoring_case(mechanism, "LOGIN");
  }
}

void client_session::after_ehlo() {
  if (!tls_ && options_.tls != tls_mode::none) {
    if (capabilities_.starttls) {
      state_ = state::starttls;
      return say("STARTTLS");
    }
    if (options_.tls != tls_mode::opportunistic)
      return fail(tls_missing(local_failure::tls_not_offered), options_.remote_host, true);
  }
  if (options_.requiretls && !capabilities_.requiretls)
    return fail(local_failure::requiretls_missing, options_.remote_host, true);
  start_auth();
}

void client_session::tls_started(const client_tls_facts& facts) {
  if (state_ == state::closed)
    return;
  const bool implicit = state_ == state::greeting && !tls_ && !reader_.in_reply();
  if (state_ != state::handshake && !implicit)
    panic("tls_started() where no TLS was asked for");
  state_ = implicit ? state::greeting : state::handshake;
  if (options_.tls == tls_mode::verify && !facts.verified)
    return fail(tls_missing(local_failure::tls_failed),
                "the certificate of " + options_.remote_host + " is not valid for it");
  tls_ = facts;
  reader_.reset(); // RFC 3207 4.2: nothing from before counts
  if (!implicit)
    send_ehlo();
}

void client_session::tls_failed(std::string_view why, bool certificate_refused) {
  auto failure = certificate_refused ? tls_missing(local_failure::tls_failed) : local_failure::tls_failed;
  if (state_ != state::closed)
    close(classify(client_stage::handshake, failure, why), false);
}

/// RFC 8689 section 4.2.1: what has to be encrypted does not wait until it can be.
local_failure client_session::tls_missing(local_failure otherwise) const noexcept {
  return options_.requiretls ? local_failure::requiretls_missing : otherwise;
}

void client_session::start_auth() {
  if (!options_.credentials)
    return become_ready();
  const client_credentials& mine = *options_.credentials;
  if (!tls_ && !mine.allow_clear)
    return fail(local_failure::auth_not_offered, "the password is not sent without TLS", true);
  if (!capabilities_.auth_plain && !capabilities_.auth_login)
    return fail(local_failure::auth_not_offered, "neither PLAIN nor LOGIN is offered by " + options_.remote_host, true);
  state_ = state::auth;
  auth_step_ = 0;
  if (!capabilities_.auth_plain)
    return say("AUTH LOGIN");
  std::string response;
  response += '\0';
  response += mine.user;
  response += '\0';
  response += mine.password;
  say("AUTH PLAIN " + encode_base64(response));
  wipe(response);
}

void client_session::on_auth(const server_reply& reply) {
  if (reply.code == 235)
    return become_ready();
  if (refused(reply))
    return fail(classify(client_stage::auth, reply), reply.code != closing);
  if (reply.code != 334 || capabilities_.auth_plain || auth_step_ >= 2)
    return fail(local_failure::unexpected_reply, protocol_detail(reply));
  const client_credentials& mine = *options_.credentials;
  say(encode_base64(auth_step_++ == 0 ? mine.user : mine.password));
}

void client_session::become_ready() {
  state_ = state::idle;
  events_.emplace_back(client_ready{});
}

// ---- a transaction

void client_session::begin(client_transaction transaction) {
  if (!is_idle())
    panic("begin() on an SMTP session that is not idle");
  if (transaction.recipients.empty())
    panic("begin() without recipients");
  transaction_ = std::move(transaction);
  ++begun_;
  outcomes_.assign(transaction_.recipients.size(), std::nullopt);
  next_rcpt_ = 0;
  accepted_ = 0;
  mail_failed_ = false;
  heard_ = false;
  refuse_unsendable();
  if (all_settled())
    return finish_transaction();
  state_ = state::envelope;
  next_command_ = needs_reset_ ? client_stage::reset : client_stage::mail;
  queue_envelope();
}

/// What can be known without asking the server.
void client_session::refuse_unsendable() {
  utf8_ = transaction_.needs_smtputf8 || !mail::is_ascii(transaction_.reverse_path);
  if (!safe_path(transaction_.reverse_path) || !safe_parameters(transaction_.parameters))
    return settle_open(classify(client_stage::mail, local_failure::bad_sender));
  for (std::size_t i = 0; i < outcomes_.size(); ++i) {
    const transaction_recipient& to = transaction_.recipients[i];
    if (to.address.empty() || !safe_path(to.address) || !safe_parameters(to.parameters))
      settle(i, classify(client_stage::rcpt, local_failure::bad_recipient));
    else
      utf8_ = utf8_ || !mail::is_ascii(to.address);
  }
  const std::uint64_t limit = capabilities_.size_max;
  if (limit != 0 && message_size() > limit)
    settle_open(classify(client_stage::mail, local_failure::message_too_big,
                         fmt::format("{} bytes, {} takes {}", message_size(), options_.remote_host, limit)));
  refuse_to_be_late();
  if (transaction_.is_binary && !(capabilities_.chunking && capabilities_.binarymime))
    settle_open(classify(client_stage::mail, local_failure::binary_missing, options_.remote_host));
  if (utf8_ && !capabilities_.smtputf8)
    settle_open(classify(client_stage::mail, local_failure::smtputf8_missing, options_.remote_host));
}

/// RFC 2852 section 4.1.4: what is to come back in time goes to servers only that will see to it.
void client_session::refuse_to_be_late() {
  auto& by = transaction_.deliver_by;
  if (!by || !by->return_it)
    return;
  if (!capabilities_.deliver_by)
    settle_open(classify(client_stage::mail, local_failure::deliver_by_missing, options_.remote_host));
  else if (by->within <= std::chrono::seconds{0} || by->within < capabilities_.deliver_by_min)
    settle_open(classify(client_stage::mail, local_failure::deliver_by_over, options_.remote_host));
}

std::string client_session::handling_parameters() const {
  std::string text;
  if (transaction_.priority && capabilities_.mt_priority)
    text += fmt::format(" MT-PRIORITY={}", *transaction_.priority);
  if (auto& by = transaction_.deliver_by; by && capabilities_.deliver_by)
    text += fmt::format(" BY={};{}{}", by->within.count(), by->return_it ? "R" : "N", by->trace ? "T" : "");
  if (options_.requiretls)
    text += " REQUIRETLS";
  return text;
}

bool client_session::use_pipelining() const noexcept { return options_.pipelining && capabilities_.pipelining; }

/// All commands of the group at once where the server can take it (RFC 2920), else the next one.
void client_session::queue_envelope() {
  if (use_pipelining()) {
    while (queue_next_command()) {
    }
    if (state_ == state::envelope && expected_.empty())
      finish_transaction(); // nobody was accepted for a chunk
    return;
  }
  if (mail_failed_ || !queue_next_command())
    finish_transaction();
}

/// False when the group is complete; without pipelining also when DATA would be pointless.
bool client_session::queue_next_command() {
  switch (next_command_) {
  case client_stage::reset:
    say("RSET");
    expect(client_stage::reset);
    next_command_ = client_stage::mail;
    return true;
  case client_stage::mail:
    say(mail_command());
    expect(client_stage::mail);
    next_command_ = client_stage::rcpt;
    return true;
  case client_stage::rcpt:
    if (queue_rcpt())
      return true;
    return transaction_.is_binary ? queue_chunk() : queue_data();
  default:
    return false;
  }
}

bool client_session::queue_data() {
  if (!use_pipelining() && accepted_ == 0)
    return false;
  say("DATA");
  expect(client_stage::data);
  next_command_ = client_stage::body;
  return true;
}

/// The message as one chunk, once it is known that somebody gets it: it goes out without a 354 between.
bool client_session::queue_chunk() {
  if (!expected_.empty() || mail_failed_ || accepted_ == 0)
    return false;
  say(fmt::format("BDAT {} LAST", message_size()));
  next_command_ = client_stage::body;
  state_ = state::body;
  body_ = body_writer{std::move(transaction_.body), transaction_.body_follows, true};
  return true;
}

bool client_session::queue_rcpt() {
  while (next_rcpt_ < outcomes_.size() && outcomes_[next_rcpt_])
    ++next_rcpt_;
  if (next_rcpt_ == outcomes_.size())
    return false;
  const transaction_recipient& to = transaction_.recipients[next_rcpt_];
  const bool extended = capabilities_.dsn && !to.parameters.empty();
  say(fmt::format("RCPT TO:<{}>{}{}", to.address, extended ? " " : "", extended ? to.parameters : ""));
  expect(client_stage::rcpt, next_rcpt_++);
  return true;
}

std::string client_session::mail_command() const {
  std::string line = fmt::format("MAIL FROM:<{}>", transaction_.reverse_path);
  if (capabilities_.size)
    line += fmt::format(" SIZE={}", message_size());
  if (transaction_.is_binary)
    line += " BODY=BINARYMIME";
  else if (transaction_.is_8bit && capabilities_.eightbitmime)
    line += " BODY=8BITMIME";
  if (utf8_)
    line += " SMTPUTF8";
  if (capabilities_.dsn && !transaction_.parameters.empty())
    line += " " + transaction_.parameters;
  return line + handling_parameters();
}

void client_session::on_expected(const server_reply& reply) {
  if (reply.code == closing)
    return fail(classify(stage(), reply));
  const expected_reply expected = expected_.front();
  expected_.pop_front();
  switch (expected.stage) {
  case client_stage::reset:
    on_reset(reply);
    break;
  case client_stage::mail:
    on_mail(reply);
    break;
  case client_stage::rcpt:
    on_rcpt(reply, expected.recipient);
    break;
  default:
    on_data(reply);
    break;
  }
  heard_ = true;
  if (state_ == state::envelope && expected_.empty())
    queue_envelope();
}

void client_session::on_reset(const server_reply& reply) {
  if (!granted(reply))
    return fail(classify(client_stage::reset, reply), false);
  needs_reset_ = false;
}

void client_session::on_mail(const server_reply& reply) {
  if (granted(reply)) {
    needs_reset_ = true;
    return;
  }
  if (!refused(reply))
    return fail(local_failure::unexpected_reply, protocol_detail(reply));
  settle_open(classify(client_stage::mail, reply));
  mail_failed_ = true;
}

void client_session::on_rcpt(const server_reply& reply, std::size_t recipient) {
  if (mail_failed_)
    return;
  if (granted(reply))
    ++accepted_;
  else if (refused(reply))
    settle(recipient, classify(client_stage::rcpt, reply, accepted_ != 0));
  else
    fail(local_failure::unexpected_reply, protocol_detail(reply));
}

void client_session::on_data(const server_reply& reply) {
  if (reply.reply_class() == 3) {
    if (accepted_ != 0) {
      state_ = state::body;
      body_ = body_writer{std::move(transaction_.body), transaction_.body_follows};
      return;
    }
    state_ = state::lone_dot;
    return say(".");
  }
  if (!refused(reply))
    return fail(local_failure::unexpected_reply, protocol_detail(reply));
  settle_open(classify(client_stage::data, reply));
  finish_transaction();
}

/// A reply before the end: the server does not wait for the rest, and no dot may be sent now, since it would say that
/// the message is whole.
void client_session::on_body(const server_reply& reply) {
  if (refused(reply))
    return fail(classify(client_stage::body, reply));
  fail(local_failure::unexpected_reply, "a reply before the end of the message");
}

void client_session::on_final_dot(const server_reply& reply) {
  ++transactions_;
  needs_reset_ = false;
  const verdict v = classify(client_stage::final_dot, reply);
  if (reply.code == closing || v.disposition == disposition::unknown)
    return fail(v);
  settle_open(v);
  finish_transaction();
}

void client_session::on_lone_dot(const server_reply& reply) {
  needs_reset_ = false;
  if (reply.code == closing)
    return fail(classify(client_stage::final_dot, reply));
  finish_transaction();
}

bool client_session::in_transaction() const noexcept {
  return state_ == state::envelope || state_ == state::body || state_ == state::final_dot || state_ == state::lone_dot;
}

bool client_session::all_settled() const noexcept {
  return std::all_of(outcomes_.begin(), outcomes_.end(), [](const auto& outcome) { return outcome.has_value(); });
}

void client_session::settle(std::size_t recipient, const verdict& v) {
  outcomes_[recipient] = recipient_outcome{transaction_.recipients[recipient].index,
                                           v.disposition,
                                           v.next,
                                           v.stage,
                                           v.reply_code,
                                           v.status,
                                           v.text,
                                           options_.remote_host,
                                           options_.remote_ip,
                                           tls_.has_value()};
}

void client_session::settle_open(const verdict& v) {
  for (std::size_t i = 0; i < outcomes_.size(); ++i)
    if (!outcomes_[i])
      settle(i, v);
}

void client_session::finish_transaction() {
  client_transaction_done done;
  done.outcomes.reserve(outcomes_.size());
  for (auto& outcome : outcomes_)
    done.outcomes.push_back(std::move(*outcome));
  events_.emplace_back(std::move(done));
  outcomes_.clear();
  transaction_ = {};
  body_ = {};
  expected_.clear();
  state_ = state::idle;
}

// ---- the end

void client_session::connection_lost(std::string_view why) {
  if (state_ == state::quitting)
    return close({}, true);
  if (state_ != state::closed)
    fail(local_failure::connection_lost, why);
}

void client_session::timed_out() {
  if (state_ == state::quitting)
    return close({}, true);
  if (state_ != state::closed)
    fail(local_failure::reply_timeout);
}

void client_session::quit() {
  if (state_ == state::closed || state_ == state::quitting)
    return;
  if (state_ != state::idle)
    return fail(local_failure::shutting_down);
  say("QUIT");
  state_ = state::quitting;
}

void client_session::fail(local_failure failure, std::string_view detail, bool polite) {
  fail(classify(stage(), failure, detail), polite);
}

/// A kept connection that turns out dead at the first command says nothing about host or message: try a fresh one.
void client_session::fail(verdict v, bool polite) {
  const bool stale = state_ == state::idle || (state_ == state::envelope && begun_ > 1 && !heard_);
  if (stale && v.disposition == disposition::deferred)
    v.next = next_step::again;
  if (in_transaction()) {
    settle_open(v);
    finish_transaction();
    if (v.disposition != disposition::deferred) // was about this message: others only lost their connection
      v = classify(client_stage::idle, local_failure::connection_lost, "closed after a failed transaction");
  }
  commands_.clear();
  commands_sent_ = 0;
  if (polite)
    say("QUIT");
  close(std::move(v), false);
}

void client_session::close(verdict cause, bool clean) {
  state_ = state::closed;
  events_.emplace_back(client_must_close{std::move(cause), clean});
}

// ---- a body in parts

std::uint64_t client_session::body_wanted(std::size_t window) const noexcept {
  return state_ == state::body && body_.waiting() <= window ? body_.awaited() : 0;
}

void client_session::add_body(rope part) {
  if (state_ != state::body)
    panic("add_body() where no body is sent");
  body_.add(std::move(part));
}

void client_session::body_lost(std::string_view why) {
  if (state_ == state::body)
    fail(local_failure::internal, why);
}

// ---- output and questions

std::optional<client_event> client_session::next_event() {
  if (events_.empty())
    return std::nullopt;
  client_event event = std::move(events_.front());
  events_.pop_front();
  return event;
}

std::size_t client_session::next_output(std::vector<slice>& out, std::size_t max_bytes) {
  std::size_t given = std::min(commands_.size() - commands_sent_, max_bytes);
  if (given != 0) {
    out.push_back(slice::copy_of(std::string_view{commands_}.substr(commands_sent_, given)));
    commands_sent_ += given;
    if (commands_sent_ == commands_.size()) {
      commands_.clear();
      commands_sent_ = 0;
    }
  }
  if (state_ == state::body && given < max_bytes) {
    given += body_.next(out, max_bytes - given);
    if (body_.done())
      state_ = state::final_dot;
  }
  return given;
}

bool client_session::has_output() const noexcept { return !commands_.empty() || state_ == state::body; }

bool client_session::is_idle() const noexcept { return state_ == state::idle; }

client_stage client_session::stage() const noexcept {
  switch (state_) {
  case state::greeting:
    return client_stage::greeting;
  case state::ehlo:
  case state::helo:
    return client_stage::ehlo;
  case state::starttls:
    return client_stage::starttls;
  case state::handshake:
    return client_stage::handshake;
  case state::auth:
    return client_stage::auth;
  case state::envelope:
    return expected_.empty() ? client_stage::mail : expected_.front().stage;
  case state::body:
    return client_stage::body;
  case state::final_dot:
  case state::lone_dot:
    return client_stage::final_dot;
  case state::quitting:
    return client_stage::quit;
  case state::idle:
  case state::closed:
    return client_stage::idle;
  }
  return client_stage::idle;
}

std::optional<std::chrono::seconds> client_session::current_timeout() const noexcept {
  const client_timeouts& t = options_.timeouts;
  switch (stage()) {
  case client_stage::greeting:
    return t.greeting;
  case client_stage::ehlo:
    return t.ehlo;
  case client_stage::starttls:
    return t.starttls;
  case client_stage::handshake:
    return t.handshake;
  case client_stage::auth:
    return t.auth;
  case client_stage::mail:
    return t.mail;
  case client_stage::rcpt:
    return t.rcpt;
  case client_stage::data:
    return t.data_start;
  case client_stage::body:
    return t.data_block;
  case client_stage::final_dot:
    return t.final_dot;
  case client_stage::reset:
    return t.reset;
  case client_stage::quit:
    return t.quit;
  default:
    return std::nullopt;
  }
}

} // namespace hedwig::smtp
