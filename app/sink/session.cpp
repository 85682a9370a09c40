// SPDX-License-Identifier: Apache-2.0
#include "app/sink/session.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "runtime/base/ascii.hpp"
#include "runtime/mail/dsn_text.hpp"

namespace hedwig::sink {
namespace {

constexpr std::size_t line_max = 8192;
constexpr std::size_t address_max = 1024;
constexpr int closing_code = 421;

/// `text` without `prefix` at its front, in any case; nothing when it is not there.
std::optional<std::string_view> after(std::string_view text, std::string_view prefix) {
  if (text.size() < prefix.size() ||
      !std::equal(prefix.begin(), prefix.end(), text.begin(), [](char a, char b) { return a == ascii::upper(b); }))
    return std::nullopt;
  return text.substr(prefix.size());
}

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ') || text.starts_with('\t'))
    text.remove_prefix(1);
  while (text.ends_with(' ') || text.ends_with('\t'))
    text.remove_suffix(1);
  return text;
}

struct path {
  std::string_view address;
  std::string_view parameters;
};

/// "<address> PARAMETERS"; a '>' inside a quoted string does not end the address.
std::optional<path> parse_path(std::string_view text) {
  text = trimmed(text);
  if (!text.starts_with('<'))
    return std::nullopt;
  bool quoted = false;
  for (std::size_t i = 1; i < text.size() && i < address_max; ++i) {
    if (text[i] == '\\' && quoted)
      ++i;
    else if (text[i] == '"')
      quoted = !quoted;
    else if (text[i] == '>' && !quoted)
      return path{text.substr(1, i - 1), trimmed(text.substr(i + 1))};
  }
  return std::nullopt;
}

/// The value of SIZE=n among the parameters; 0 without one.
std::uint64_t declared_size(std::string_view parameters) {
  while (!parameters.empty()) {
    const std::string_view word = parameters.substr(0, parameters.find(' '));
    parameters.remove_prefix(std::min(word.size() + 1, parameters.size()));
    if (const auto number = after(word, "SIZE=")) {
      std::uint64_t value = 0;
      std::from_chars(number->data(), number->data() + number->size(), value);
      return value;
    }
  }
  return 0;
}

} // namespace

session::session(session_owner& owner, std::unique_ptr<net::connection> accepted)
  : owner_{owner}, idle_{owner.loop(), [this] { on_idle(); }}, delay_{owner.loop(), [this] {
                                                                        const answer now = std::move(*waiting_);
                                                                        waiting_.reset();
                                                                        stream_->resume_reading();
                                                                        carry_out(now);
                                                                        if (ended_)
                                                                          on_end();
                                                                      }} {
  message_.peer = accepted->peer().text();
  stream_ = owner_.loop().adopt(std::move(accepted), *this);
  touch();
  if (owner_.options().implicit_tls)
    stream_->start_tls(owner_.tls(), net::tls_role::server);
  else
    greet();
}

void session::greet() {
  greeted_ = true;
  respond(stage::connect, 220, owner_.options().hostname + " ESMTP hedwig-sink");
}

void session::on_idle() {
  if (waiting_)
    return touch();
  respond(stage::quit, closing_code, "4.4.2 Idle too long");
}

void session::touch() { idle_.start(owner_.options().idle_timeout); }

// ---- input

std::size_t session::on_data(std::string_view data) {
  std::size_t taken = 0;
  touch();
  while (taken < data.size() && !waiting_ && !closing_ && !handshaking_) {
    const std::string_view rest = data.substr(taken);
    const std::size_t step = in_data_ ? take_text(rest) : take_command(rest);
    taken += step;
    if (step == 0)
      break;
  }
  return closing_ ? data.size() : taken;
}

std::size_t session::take_command(std::string_view data) {
  const std::size_t end = data.find('\n');
  if (end == std::string_view::npos && data.size() <= line_max)
    return 0;
  if (end == std::string_view::npos || end > line_max) {
    say(500, "5.5.2 Line too long");
    drop();
    return data.size();
  }
  std::string_view line = data.substr(0, end);
  if (line.ends_with('\r'))
    line.remove_suffix(1);
  if (sasl_)
    auth_step(line);
  else
    command(line);
  return end + 1;
}

std::size_t session::take_text(std::string_view data) {
  if (!body_drop_decided_) {
    body_drop_decided_ = true;
    if (owner_.options().script.decide(stage::body, message_.sender).drop) {
      drop();
      return data.size();
    }
  }
  std::string_view rest = data;
  if (scanner_.feed(rest, message_.text, owner_.keep_max()))
    end_of_message();
  return data.size() - rest.size();
}

void session::command(std::string_view line) {
  if (const auto rest = after(line, "EHLO"))
    return ehlo(trimmed(*rest), true);
  if (const auto rest = after(line, "HELO"))
    return ehlo(trimmed(*rest), false);
  if (const auto rest = after(line, "MAIL FROM:"))
    return mail(*rest);
  if (const auto rest = after(line, "RCPT TO:"))
    return rcpt(*rest);
  if (after(line, "DATA"))
    return data();
  if (after(line, "RSET"))
    return respond(stage::rset, 250, "2.0.0 Ok");
  if (after(line, "NOOP"))
    return say(250, "2.0.0 Ok");
  if (after(line, "VRFY"))
    return say(252, "2.1.5 Send mail and see");
  if (after(line, "HELP"))
    return say(214, "2.0.0 hedwig-sink takes mail and throws it away");
  if (after(line, "QUIT"))
    return respond(stage::quit, 221, "2.0.0 Bye");
  if (after(line, "STARTTLS") && owner_.options().starttls)
    return starttls();
  if (const auto rest = after(line, "AUTH "))
    return auth(trimmed(*rest));
  say(500, "5.5.1 Command not recognized");
}

// ---- commands

void session::ehlo(std::string_view rest, bool extended) {
  const options& o = owner_.options();
  helo_ = mail::sanitise_peer_text(rest, address_max);
  if (extended && !o.features.ehlo)
    return say(502, "5.5.1 Command not implemented");
  std::vector<std::string> lines{o.hostname};
  if (extended && o.features.pipelining)
    lines.emplace_back("PIPELINING");
  if (extended && o.features.size)
    lines.push_back(fmt::format("SIZE {}", o.size_max));
  if (extended && o.features.eightbitmime)
    lines.emplace_back("8BITMIME");
  if (extended && o.features.smtputf8)
    lines.emplace_back("SMTPUTF8");
  if (extended && o.features.enhanced_status_codes)
    lines.emplace_back("ENHANCEDSTATUSCODES");
  if (extended && o.starttls && !tls_)
    lines.emplace_back("STARTTLS");
  if (extended && !o.auth_user.empty())
    lines.emplace_back("AUTH PLAIN LOGIN");
  std::string text;
  for (std::size_t i = 0; i < lines.size(); ++i)
    text += fmt::format("250{}{}\r\n", i + 1 == lines.size() ? ' ' : '-', lines[i]);
  respond_lines(stage::ehlo, 250, std::move(text), helo_);
}

void session::mail(std::string_view rest) {
  const options& o = owner_.options();
  const auto parsed = parse_path(rest);
  if (!parsed)
    return say(501, "5.1.7 Write MAIL FROM:<address>");
  if (in_mail_)
    return say(503, "5.5.1 MAIL was already given");
  if (!o.auth_user.empty() && !authenticated_)
    return say(530, "5.7.0 Authentication required");
  if (o.size_max != 0 && declared_size(parsed->parameters) > o.size_max)
    return say(552, "5.3.4 Message too big");
  pending_sender_ = parsed->address;
  pending_parameters_ = parsed->parameters;
  respond(stage::mail, 250, "2.1.0 Ok", parsed->address);
}

void session::rcpt(std::string_view rest) {
  const auto parsed = parse_path(rest);
  if (!in_mail_)
    return say(503, "5.5.1 Send MAIL first");
  if (!parsed || parsed->address.empty())
    return say(501, "5.1.3 Write RCPT TO:<address>");
  if (message_.recipients.size() >= owner_.options().recipients_max) {
    owner_.on_recipient(false);
    return say(452, "4.5.3 Too many recipients");
  }
  pending_recipient_ = parsed->address;
  respond(stage::rcpt, 250, "2.1.5 Ok", parsed->address);
}

void session::data() {
  if (!in_mail_)
    return say(503, "5.5.1 Send MAIL first");
  if (message_.recipients.empty())
    return say(554, "5.5.1 No valid recipients");
  respond(stage::data, 354, "End data with <CR><LF>.<CR><LF>", message_.sender);
}

void session::auth(std::string_view rest) {
  const options& o = owner_.options();
  if (o.auth_user.empty())
    return say(502, "5.5.1 Command not implemented");
  const std::size_t end = std::min(rest.find(' '), rest.size());
  sasl_ = smtp::make_sasl_exchange(rest.substr(0, end));
  if (!sasl_)
    return say(504, "5.5.4 PLAIN and LOGIN only");
  const std::string_view initial = trimmed(rest.substr(end));
  auth_step(initial.empty() ? std::nullopt : std::optional{initial == "=" ? std::string_view{} : initial});
}

void session::auth_step(std::optional<std::string_view> response) {
  std::optional<std::string> decoded;
  if (response)
    decoded = smtp::decode_base64(*response);
  if (response && !decoded) {
    sasl_.reset();
    return say(501, "5.5.2 Not base64");
  }
  const auto step = decoded ? sasl_->step(std::string_view{*decoded}) : sasl_->step(std::nullopt);
  if (const auto* challenge = std::get_if<smtp::sasl_challenge>(&step))
    return say(334, smtp::encode_base64(challenge->text));
  sasl_.reset();
  const auto* who = std::get_if<smtp::credentials>(&step);
  const options& o = owner_.options();
  const bool good = who != nullptr && who->username == o.auth_user && who->password.view() == o.auth_password;
  respond(stage::auth, good ? 235 : 535, good ? "2.7.0 Welcome" : "5.7.8 Wrong user or password");
}

void session::starttls() {
  if (tls_)
    return say(503, "5.5.1 TLS is active already");
  respond(stage::starttls, 220, "2.0.0 Go ahead");
}

void session::end_of_message() {
  in_data_ = false;
  message_.size = scanner_.size();
  message_.bare_line_ends = scanner_.bare_line_ends();
  const std::uint64_t limit = owner_.options().size_max;
  if (limit != 0 && message_.size > limit)
    return respond(stage::dot, 552, "5.3.4 Message too big", message_.sender);
  const bool kept = !owner_.options().store_directory.empty();
  respond(stage::dot, 250, kept ? "2.0.0 Ok: stored" : "2.0.0 Ok: thrown away", message_.sender);
}

// ---- replies

void session::say(int code, std::string_view text) { stream_->write(fmt::format("{} {}\r\n", code, text)); }

void session::respond(stage where, int code, std::string_view text, std::string_view subject) {
  respond_lines(where, code, fmt::format("{} {}\r\n", code, text), subject);
}

void session::respond_lines(stage where, int code, std::string text, std::string_view subject) {
  const decision wanted = owner_.options().script.decide(where, subject);
  answer what{where, code, std::move(text), wanted.drop};
  if (wanted.reply) {
    what.code = wanted.reply->code;
    what.text = fmt::format("{} {}\r\n", wanted.reply->code, wanted.reply->text);
  }
  if (wanted.delay.count() == 0)
    return carry_out(what);
  waiting_ = std::move(what);
  stream_->pause_reading();
  delay_.start(wanted.delay);
}

void session::carry_out(const answer& what) {
  if (what.drop) {
    if (what.where == stage::dot)
      finish_message(0);
    return drop();
  }
  stream_->write(what.text);
  after_reply(what.where, what.code);
  if (what.code == closing_code || what.where == stage::quit) {
    closing_ = true;
    stream_->close();
  }
}

/// The reply decides what the command did, as the client sees it.
void session::after_reply(stage where, int code) {
  const bool good = code < 300;
  switch (where) {
  case stage::ehlo:
  case stage::rset:
    return good ? forget_transaction() : void();
  case stage::auth:
    authenticated_ = good;
    return;
  case stage::mail:
    if (good) {
      forget_transaction();
      in_mail_ = true;
      message_.sender = std::move(pending_sender_);
      message_.sender_parameters = std::move(pending_parameters_);
    }
    return;
  case stage::rcpt:
    owner_.on_recipient(good);
    if (good)
      message_.recipients.push_back(std::move(pending_recipient_));
    return;
  case stage::data:
    if (code == 354) {
      in_data_ = true;
      body_drop_decided_ = false;
      scanner_.reset();
    }
    return;
  case stage::dot:
    return finish_message(code);
  case stage::starttls:
    if (code != 220)
      return;
    if (owner_.options().script.decide(stage::handshake, {}).drop)
      return drop();
    handshaking_ = true;
    stream_->start_tls(owner_.tls(), net::tls_role::server);
    return;
  default:
    return;
  }
}

void session::finish_message(int code) {
  message_.when = owner_.loop().clock().wall();
  message_.helo = helo_;
  message_.tls = tls_;
  message_.authenticated = authenticated_;
  message_.reply_code = code;
  owner_.on_message(message_);
  forget_transaction();
}

void session::forget_transaction() {
  in_mail_ = false;
  message_.sender.clear();
  message_.sender_parameters.clear();
  message_.recipients.clear();
  message_.text.clear();
}

void session::drop() {
  closing_ = true;
  owner_.on_drop();
  stream_->close();
}

// ---- the stream

void session::on_tls(const net::tls_info&) {
  tls_ = true;
  handshaking_ = false;
  helo_.clear();
  authenticated_ = false;
  forget_transaction();
  if (!greeted_)
    greet();
}

void session::on_end() {
  ended_ = true;
  if (!waiting_ && !closing_) {
    closing_ = true;
    stream_->close();
  }
}

void session::on_closed(std::optional<error>) { owner_.on_end_of(*this); }

} // namespace hedwig::sink
