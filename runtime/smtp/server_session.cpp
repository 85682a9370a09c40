// SPDX-License-Identifier: Apache-2.0
// The state machine without its commands, which are in server_session_commands.cpp.
#include "runtime/smtp/server_session.hpp"

#include <algorithm>

#include "runtime/smtp/server_session_detail.hpp"

namespace hedwig::smtp {

namespace {

const standard_reply& data_reply(data_fault fault) noexcept {
  switch (fault) {
  case data_fault::too_big:
    return replies::too_big;
  case data_fault::bare_line_end:
    return replies::bare_line_end_in_data;
  case data_fault::nul:
    return replies::nul_in_data;
  case data_fault::line_too_long:
    return replies::line_too_long_in_data;
  case data_fault::abandoned:
  case data_fault::none:
    break;
  }
  return replies::local_error;
}

} // namespace

std::string_view to_string_view(ask::end_reason reason) noexcept {
  switch (reason) {
  case ask::end_reason::quit:
    return "quit";
  case ask::end_reason::refused:
    return "refused";
  case ask::end_reason::timed_out:
    return "timed out";
  case ask::end_reason::too_long:
    return "too long";
  case ask::end_reason::no_room:
    return "no room";
  case ask::end_reason::shutting_down:
    return "shutting down";
  case ask::end_reason::killed:
    return "killed";
  case ask::end_reason::failed:
    return "failed";
  case ask::end_reason::early_talker:
    return "early talker";
  case ask::end_reason::http:
    return "http";
  case ask::end_reason::too_many_errors:
    return "too many errors";
  case ask::end_reason::too_many_auth_failures:
    return "too many auth failures";
  case ask::end_reason::too_many_messages:
    return "too many messages";
  case ask::end_reason::too_many_commands:
    return "too many commands";
  case ask::end_reason::too_much_swallowed:
    return "too much swallowed";
  case ask::end_reason::bad_chunk:
    return "bad chunk";
  }
  return "unknown";
}

std::string_view to_string_view(session_state state) noexcept {
  switch (state) {
  case session_state::greeting:
    return "greeting";
  case session_state::command:
    return "command";
  case session_state::auth:
    return "auth";
  case session_state::data:
    return "data";
  case session_state::waiting:
    return "waiting";
  case session_state::ended:
    return "ended";
  }
  return "unknown";
}

server_session::server_session(std::shared_ptr<const server_settings> settings, connection_facts facts)
  : settings_{std::move(settings)}, facts_{std::move(facts)} {}

void server_session::start() {
  if (started_ || ended_)
    panic("server_session: started twice");
  started_ = true;
  ask_owner<ask::check_connect>();
}

void server_session::refuse_early_talker() {
  if (answers<ask::check_connect>())
    finish(replies::early_talker, ask::end_reason::early_talker);
}

std::size_t server_session::feed(std::string_view bytes) {
  std::size_t used = 0;
  while (used < bytes.size() && started_ && !question_) {
    auto rest = bytes.substr(used);
    used += chunk_ ? feed_chunk(rest) : reads_data() ? feed_data(rest) : feed_line(rest);
  }
  // RFC 3207 section 4.2: what came in clear behind STARTTLS must not be taken for what comes encrypted.
  if (question_ && std::holds_alternative<ask::start_tls>(*question_)) {
    counters_.clear_text_dropped += bytes.size() - used;
    return bytes.size();
  }
  return used;
}

// Only CR LF ends a line; a bare LF spoils the line it stands in, so that nothing behind it can be a command.
std::size_t server_session::feed_line(std::string_view bytes) {
  const auto limit = settings_->limits.command_octets_max;
  bytes = bytes.substr(0, limit + 1 - command_octets_);
  auto lf = bytes.find('\n');
  auto used = lf == std::string_view::npos ? bytes.size() : lf + 1;
  auto piece = bytes.substr(0, used);
  auto before_lf = lf == 0 ? (discarding_line_ ? last_was_cr_ : line_.ends_with('\r'))
                           : lf != std::string_view::npos && bytes[lf - 1] == '\r';
  command_octets_ += used;
  if (lf == std::string_view::npos) {
    line_goes_on(piece);
  } else if (before_lf) {
    ++counters_.lines;
    line_ends(piece);
  } else {
    ++counters_.lines;
    line_goes_on(piece.substr(0, used - 1)); // too long goes before wrongly ended, at every cut
    last_was_cr_ = false;
    if (!discarding_line_) {
      begin_discard(nullptr);
      bad(replies::bare_line_end);
    }
  }
  if (command_octets_ > limit && !ended_)
    finish(replies::too_many_commands, ask::end_reason::too_many_commands);
  return used;
}

void server_session::begin_discard(const standard_reply* why_later) {
  if (tap_ != nullptr)
    tap_->client_said("<a line that is too long, or ends wrongly>");
  discarding_line_ = true;
  discard_reply_ = why_later;
  sasl_.reset();
  wipe(line_);
}

bool server_session::is_auth_line(std::string_view line) const noexcept {
  return sasl_ != nullptr || (line.size() > 5 && line[4] == ' ' && verb_of(line.substr(0, 5)) == "AUTH");
}

void server_session::line_goes_on(std::string_view bytes) {
  if (!discarding_line_) {
    line_.append(bytes.substr(0, auth_line_octets_max));
    auto auth = is_auth_line(line_);
    if (line_.size() > (auth ? auth_line_octets_max : command_line_octets_max) - 1)
      begin_discard(auth ? &replies::auth_line_too_long : &replies::line_too_long);
  }
  if (!bytes.empty())
    last_was_cr_ = bytes.back() == '\r';
}

void server_session::line_ends(std::string_view piece) {
  if (discarding_line_) {
    discarding_line_ = false;
    if (auto* why = std::exchange(discard_reply_, nullptr))
      bad(*why);
    return;
  }
  auto whole = piece;
  if (!line_.empty())
    whole = line_.append(piece.substr(0, auth_line_octets_max + 1));
  auto auth = is_auth_line(whole);
  if (tap_ != nullptr) [[unlikely]]
    show_line(whole.substr(0, whole.size() - 2));
  auth_tried_ = auth_tried_ || auth;
  if (whole.size() > (auth ? auth_line_octets_max : command_line_octets_max)) {
    sasl_.reset();
    bad(auth ? replies::auth_line_too_long : replies::line_too_long);
  } else {
    on_line(whole.substr(0, whole.size() - 2));
  }
  if (auth)
    wipe(line_);
  line_.clear();
}

void server_session::show_line(std::string_view line) {
  tap_->client_said(sasl_ != nullptr ? shown_response(line) : shown_command(line, auth_tried_));
}

std::size_t server_session::feed_data(std::string_view bytes) {
  auto used = reader_->feed(bytes);
  if (reader_->swallowed_octets() > settings_->limits.swallowed_octets_max) {
    finish(data_reply(reader_->fault()), ask::end_reason::too_much_swallowed);
  } else if (reader_->done()) {
    if (tap_ != nullptr)
      tap_->client_said(shown_content("message", reader_->body_octets()));
    end_of_data();
  }
  return used;
}

void server_session::begin_reading(data_framing framing) {
  auto limits = settings_->limits.data;
  limits.body_octets_max = message_size_max();
  reader_.emplace(limits, framing);
}

// The transaction is open and wants it.
void server_session::begin_chunk() {
  auto there = std::min<std::uint64_t>(reader_->body_octets(), message_size_max());
  if (chunk_->octets > message_size_max() - there)
    reader_->refuse_size();
  if (chunk_->left == 0)
    end_of_chunk();
}

std::size_t server_session::feed_chunk(std::string_view bytes) {
  auto piece = bytes.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), chunk_->left)));
  chunk_->left -= piece.size();
  auto wanted = chunk_->refusal == nullptr;
  auto used = wanted ? reader_->feed(piece) : piece.size();
  auto swallowed = wanted ? reader_->swallowed_octets() : chunks_swallowed_ += used;
  if (swallowed > settings_->limits.swallowed_octets_max)
    finish(wanted ? data_reply(reader_->fault()) : *chunk_->refusal, ask::end_reason::too_much_swallowed);
  else if (chunk_->left == 0)
    end_of_chunk();
  return used;
}

void server_session::end_of_chunk() {
  auto ended = *std::exchange(chunk_, std::nullopt);
  if (tap_ != nullptr)
    tap_->client_said(shown_content("chunk", ended.octets));
  if (ended.refusal != nullptr) {
    if (ended.last && chunks_ == chunks::failed)
      reset_transaction();
    bad(*ended.refusal);
    return;
  }
  if (ended.last) {
    reader_->finish();
    end_of_data();
  } else if (reader_->fault() != data_fault::none) {
    refuse_data(false);
  } else {
    output_.append("250 2.0.0 ").append(std::to_string(ended.octets)).append(" octets received\r\n");
  }
}

void server_session::end_of_data() {
  auto fault = reader_->fault();
  if (fault == data_fault::none) {
    auto octets = reader_->body_octets();
    auto body = reader_->take_body();
    auto envelope = std::move(*transaction_);
    reset_transaction();
    ask_owner<ask::take_message>(std::move(envelope), std::move(body), octets);
    return;
  }
  refuse_data(true);
}

// `over`: nothing of the message follows.
void server_session::refuse_data(bool over) {
  auto fault = reader_->fault();
  ++counters_.messages_refused;
  auto why =
      fault == data_fault::abandoned && abandoned_with_ ? *abandoned_with_ : static_cast<reply>(data_reply(fault));
  if (over) {
    reset_transaction();
  } else {
    reader_.reset();
    abandoned_with_.reset();
    chunks_ = chunks::failed;
  }
  say(why);
  if (why.code == 421)
    finish(ask::end_reason::refused);
}

void server_session::accept() {
  if (answers<ask::check_connect>()) {
    output_.append("220 ").append(settings_->hostname).append(" ").append(settings_->greeting).append("\r\n");
  } else if (answers<ask::check_helo>()) {
    say_hello();
  } else if (answers<ask::check_mail>()) {
    say_sender_ok();
  } else if (answers<ask::check_recipient>()) {
    transaction_->recipients.push_back(std::move(*candidate_));
    candidate_.reset();
    ++counters_.recipients_accepted;
    say(replies::recipient_ok);
  } else if (answers<ask::check_data>()) {
    if (chunk_) {
      chunks_ = chunks::begun;
      begin_reading(transaction_->parameters.body == body_type::binary ? data_framing::binary : data_framing::counted);
      begin_chunk();
      return;
    }
    begin_reading(data_framing::dots);
    say(replies::start_data);
  } else if (!ended_) {
    panic("server_session: accept() without a question");
  }
}

void server_session::refuse(const reply& why) {
  bool end = why.code == 421;
  if (answers<ask::check_connect>()) {
    end = true;
  } else if (answers<ask::check_helo>()) {
    helo_.clear();
    greeted_ = false;
    extended_ = false;
  } else if (answers<ask::check_mail>()) {
    reset_transaction();
  } else if (answers<ask::check_recipient>()) {
    candidate_.reset();
    ++counters_.recipients_refused;
  } else if (answers<ask::take_message>()) {
    ++counters_.messages_refused;
  } else if (answers<ask::xclient>()) {
    ++counters_.bad_commands;
  } else if (answers<ask::check_data>()) {
    if (chunk_ && !end) { // answered when it has been read
      chunks_ = chunks::begun;
      begin_reading(data_framing::counted);
      abandon_message(why);
      begin_chunk();
      return;
    }
  } else if (!answers_login()) {
    if (!ended_)
      panic("server_session: refuse() without a question");
    return;
  }
  say(why);
  if (end)
    finish(ask::end_reason::refused);
}

void server_session::refuse_and_end(const reply& why) {
  chunk_.reset(); // nothing more is read
  refuse(why);
  if (!ended_)
    finish(ask::end_reason::refused);
}

void server_session::message_taken(std::string_view id) {
  if (ended_)
    return;
  if (!answers<ask::take_message>())
    panic("server_session: message_taken() without a question");
  ++counters_.messages_accepted;
  command_octets_ = 0;
  chunks_swallowed_ = 0;
  say(reply{250, {2, 0, 0}, std::string{"Ok: queued as "}.append(id)});
}

void server_session::tls_started(tls_facts facts) {
  if (ended_)
    return;
  if (!answers<ask::start_tls>())
    panic("server_session: tls_started() without a question");
  forget_client();
  facts_.tls = std::move(facts);
}

void server_session::client_changed(std::shared_ptr<const server_settings> settings, connection_facts facts,
                                    std::string identity, std::string hello, bool extended) {
  if (ended_)
    return;
  if (!answers<ask::xclient>())
    panic("server_session: client_changed() without a question");
  forget_client();
  settings_ = std::move(settings);
  facts_ = std::move(facts);
  identity_ = std::move(identity);
  greeted_ = !hello.empty();
  extended_ = greeted_ && extended;
  helo_ = std::move(hello);
  ask_owner<ask::check_connect>();
}

void server_session::timed_out() { finish(replies::timed_out, ask::end_reason::timed_out); }
void server_session::expire() { finish(replies::session_too_long, ask::end_reason::too_long); }
void server_session::make_room() { finish(replies::overloaded, ask::end_reason::no_room); }
void server_session::shut_down() { finish(replies::shutting_down, ask::end_reason::shutting_down); }
void server_session::kill() { finish(replies::killed, ask::end_reason::killed); }
void server_session::fail() { finish(replies::session_failed, ask::end_reason::failed); }

void server_session::abandon_message(const reply& why) {
  if (reader_ && !abandoned_with_) {
    abandoned_with_ = why;
    reader_->abandon();
  }
}

rope server_session::take_body() { return reader_ ? reader_->take_body() : rope{}; }

std::size_t server_session::body_octets_held() const noexcept {
  if (reader_)
    return reader_->held_octets();
  auto* complete = question_ ? std::get_if<ask::take_message>(&*question_) : nullptr;
  return complete == nullptr ? 0 : complete->body.size();
}

session_state server_session::state() const noexcept {
  if (ended_)
    return session_state::ended;
  if (!started_ || (question_ && std::holds_alternative<ask::check_connect>(*question_)))
    return session_state::greeting;
  if (question_)
    return session_state::waiting;
  if (chunk_ || reads_data())
    return session_state::data;
  return sasl_ ? session_state::auth : session_state::command;
}

bool server_session::idle() const noexcept {
  return !question_ && !transaction_ && !reader_ && !chunk_ && !sasl_ && line_.empty() && !discarding_line_;
}

std::string_view server_session::protocol_keyword(bool smtputf8) const noexcept {
  static constexpr std::string_view keywords[] = {"ESMTP",    "ESMTPS",    "ESMTPA",    "ESMTPSA",
                                                  "UTF8SMTP", "UTF8SMTPS", "UTF8SMTPA", "UTF8SMTPSA"};
  if (!extended_)
    return "SMTP";
  return keywords[(smtputf8 ? 4 : 0) + (identity_.empty() ? 0 : 2) + (tls() ? 1 : 0)];
}

void server_session::bad(const standard_reply& why) {
  ++counters_.bad_commands;
  if (counters_.bad_commands > settings_->limits.bad_commands_max)
    finish(replies::too_many_errors, ask::end_reason::too_many_errors);
  else
    say(why);
}

void server_session::count_refusal(int code, refusal_reason why) noexcept {
  if (code >= 400 && facts_.refusals != nullptr)
    facts_.refusals->add(why == refusal_reason::none ? refusal_reason::other : why);
}

void server_session::say(const standard_reply& what) {
  count_refusal(what.code, what.why);
  append_wire(output_, what);
}

void server_session::say(const reply& what) {
  count_refusal(what.code, what.why);
  append_wire(output_, what, transaction_ && transaction_->parameters.smtputf8);
}

void server_session::finish(const standard_reply& last, ask::end_reason reason) {
  if (ended_)
    return;
  say(last);
  finish(reason);
}

void server_session::finish(ask::end_reason reason) {
  ended_ = true;
  sasl_.reset();
  question_.reset(); // before what it may point at
  reset_transaction();
  ask_owner<ask::end>(reason);
}

void server_session::reset_transaction() noexcept {
  transaction_.reset();
  candidate_.reset();
  reader_.reset();
  chunks_ = chunks::none;
  abandoned_with_.reset();
  recipients_tried_ = false;
}

void server_session::forget_client() noexcept {
  reset_transaction();
  sasl_.reset();
  helo_.clear();
  identity_.clear();
  message_size_max_ = unlimited;
  wipe(line_);
  greeted_ = false;
  extended_ = false;
}

} // namespace hedwig::smtp
