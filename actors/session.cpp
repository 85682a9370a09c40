// SPDX-License-Identifier: Apache-2.0
#include "actors/session.hpp"

#include "actors/mailbox_sink.hpp"
#include "actors/message_edits.hpp"
#include "runtime/mail/header.hpp"
#include "runtime/telemetry/log.hpp"

#include <algorithm>

namespace hedwig {

using smtp::session_state;
using telemetry::component;
using telemetry::level;

namespace {

/// Octets of commands that are worked on, and of replies that are made, before other sessions of the loop have their
/// turn.
constexpr std::size_t commands_a_turn = 4096;
constexpr std::size_t replies_a_turn = 16384;

static_assert(smtp::notify_never == queue::notify_never && smtp::notify_success == queue::notify_success &&
              smtp::notify_failure == queue::notify_failure && smtp::notify_delay == queue::notify_delay);

queue::body_type body_of(smtp::body_type said) {
  switch (said) {
  case smtp::body_type::eight_bit:
    return queue::body_type::eight_bit_mime;
  case smtp::body_type::binary:
    return queue::body_type::binary_mime;
  default:
    return queue::body_type::seven_bit;
  }
}

/// No NUL, and CR and LF as line ends only: whoever reads the header of a binary message must see the lines we saw.
bool has_plain_header(const rope& message) {
  auto header = mail::header_block::parse(message);
  if (!header)
    return false;
  return std::ranges::all_of(header->fields(), [](auto& field) {
    std::string_view text{field.name.data(), field.size};
    for (std::size_t at = 0; (at = text.find_first_of(std::string_view{"\0\r\n", 3}, at)) != text.npos; at += 2)
      if (text.substr(at, 2) != "\r\n")
        return false;
    return true;
  });
}

/// RFC 4865; the epoch: at once.
wall_time held_until(const smtp::mail_parameters& said, wall_time now) {
  if (said.hold_for)
    return now + *said.hold_for;
  return said.hold_until.value_or(wall_time{});
}

void take_handling(queue::envelope& made, const smtp::mail_parameters& said, wall_time now) {
  if (said.priority)
    made.priority = static_cast<std::int8_t>(*said.priority);
  if (auto until = held_until(said, now); until > now)
    made.held_until = until;
  if (auto& by = said.deliver_by) // of held mail the time begins when it is released
    made.deliver_by = {std::max(now, made.held_until) + by->within, by->return_it, by->trace};
  made.require_tls = said.require_tls;
}

queue::return_type return_of(smtp::return_type said) {
  switch (said) {
  case smtp::return_type::full:
    return queue::return_type::full;
  case smtp::return_type::headers:
    return queue::return_type::headers;
  default:
    return queue::return_type::unsaid;
  }
}

smtp::reply reply_of(const plugin::verdict& verdict) {
  smtp::reply reply{.code = verdict.code, .enhanced = {}, .text = verdict.text, .why = smtp::refusal_reason::filter};
  auto& code = verdict.enhanced_code;
  unsigned parts[3] = {};
  if (std::sscanf(code.c_str(), "%1u.%3u.%3u", &parts[0], &parts[1], &parts[2]) == 3)
    reply.enhanced = {static_cast<std::uint16_t>(parts[0]), static_cast<std::uint16_t>(parts[1]),
                      static_cast<std::uint16_t>(parts[2])};
  return reply;
}

} // namespace

session::session(caf::actor_config& config, relay_context& context, io_unit& unit, const actor_place& place,
                 session_arrival arrival)
  : pinned_actor{config, context, unit, "session", place}, connection_{std::move(arrival.connection)},
    policy_{std::move(arrival.policy)}, listener_{arrival.listener}, handles_{std::move(arrival.handles)},
    admission_{std::move(arrival.admission)}, memory_{context.memory, memory_user::sessions},
    connections_{arrival.connections}, number_{node().id} {}

caf::behavior session::begin() {
  client_ = connection_->peer();
  timer_.emplace(loop(), [this] { on_loop([this] { on_timeout(); }); });
  begun_ = heard_ = loop().now();
  auto early = connection_->has_input();
  stream_ = loop().adopt(std::move(connection_), *this);
  awaiting_proxy_ = comes_through_proxy();
  if (awaiting_proxy_) {
    set_state("proxy header");
    timer_->start(policy_->settings.server.proxy_timeout);
  } else {
    meet_client(early, false);
  }
  set_down_handler([this](const caf::down_msg&) { on_authenticator_lost(); });
  return {[this](const message_stored& outcome) { on_stored(outcome); },
          [this](const part_staged& outcome) { on_part_staged(outcome); },
          [this](authenticated& outcome) { on_authenticated(outcome); }, [this](give_way) { on_give_way(); },
          [this](plugin_answers& answers) { on_plugin_answers(answers); }};
}

void session::greet_in_time(bool spoke_early) {
  auto& server = policy_->settings.server;
  auto refused = spoke_early && server.refuse_early_talkers;
  if (refused || peer_may_relay_ || server.greeting_delay == config::duration{0})
    return start_protocol(refused);
  set_state("greeting delay");
  delaying_ = true;
  timer_->start(server.greeting_delay);
}

void session::start_protocol(bool refuse_early_talker) {
  protocol_.emplace(admission_.rules->protocol, client_facts());
  clock_.greeted(loop().now());
  if (relay().traces.epoch() != 0) [[unlikely]]
    look_at_traces();
  open_filters();
  protocol_->start();
  if (refuse_early_talker) {
    relay().counts.connections_refused(listener_settings().name, "early_talker").add();
    relay().counts.limit_hit("server.refuse_early_talkers").add();
    protocol_->refuse_early_talker();
  }
  answer_questions();
  finish_step();
}

void session::end() {
  relay().sessions_open.fetch_sub(1, std::memory_order_relaxed);
  if (connections_ != nullptr)
    connections_->subtract();
  if (handshaking_)
    relay().counts.tls("in", "failed").add();
  if (protocol_ && is_open<smtp::ask::authenticate>())
    demonitor(handles_->authenticator->address());
  if (staged_)
    drop_stage_now();
  log_out();
  relay().clients.leave(admission_.counted);
  tracer_.reset();
  relay().strangers.remove(standing_);
  memory_.release();
  timer_.reset();
  stream_.reset();
  filters_ = {};
  handles_.reset();
}

// ---- the stream

std::size_t session::on_data(std::string_view data) {
  std::size_t consumed = 0;
  on_loop([&] {
    if (closing_)
      consumed = data.size();
    else if (protocol_)
      consumed = advance_and_show(data);
    else if (awaiting_proxy_)
      consumed = read_proxy_header(data);
    else if (policy_->settings.server.refuse_early_talkers)
      consumed = refuse_early_talker(data);
    octets_ += consumed;
    heard_ = loop().now();
  });
  return consumed;
}

void session::on_tls(const net::tls_info& info) {
  on_loop([&] {
    handshaking_ = false;
    relay().counts.tls("in", "success").add();
    if (info.resumed)
      relay().counts.tls_resumed("in").add();
    if (!protocol_) {
      greet_in_time(false);
      return;
    }
    log_out();
    clock_.greeted(loop().now());
    note(info.version + " " + info.cipher);
    protocol_->tls_started(tls_facts_of(info));
    go_on();
  });
}

void session::on_drained() {
  on_loop([&] {
    if (halted_ == halt::none) // else it waits for something else as well
      stream_->resume_reading();
  });
}

void session::on_end() {
  on_loop([&] {
    // A client that is gone while we commit its message hears nothing, and the message stands.
    note("the client closed");
    close();
  });
}

void session::on_closed(std::optional<error> reason) {
  on_loop([&] {
    if (reason) {
      telemetry::log(level::debug, component::session, {"session.lost", "the connection broke"},
                     {{"peer", node().label}, {"error", reason->text()}});
      note("the connection broke: " + reason->text());
    }
    end_soon();
  });
}

// ---- the dialogue

std::size_t session::refuse_early_talker(std::string_view data) {
  delaying_ = false;
  start_protocol(true);
  return data.size();
}

std::size_t session::advance_and_show(std::string_view data) {
  if (trace_epoch_ != relay().traces.epoch()) [[unlikely]]
    look_at_traces();
  return advance(data);
}

std::size_t session::advance(std::string_view data) {
  if (!stream_->writable())
    return 0; // it does not read our replies: on_drained() goes on
  std::size_t consumed = 0;
  while (consumed < data.size() && protocol_->pending() == nullptr && !protocol_->ended() && halted_ == halt::none) {
    if (protocol_->output().size() > replies_a_turn) {
      stream_->resume_reading(); // others have their turn first
      break;
    }
    auto rest = data.substr(consumed, protocol_->receiving() ? data.npos : commands_a_turn);
    if (protocol_->receiving() && !make_room(rest.size())) {
      wait_for(halt::memory);
      break;
    }
    consumed += protocol_->feed(rest);
    answer_questions();
    stage_if_large();
  }
  finish_step();
  return closing_ ? data.size() : consumed;
}

void session::go_on() {
  answer_questions();
  finish_step();
  if (!closing_ && protocol_->pending() == nullptr && halted_ == halt::none)
    stream_->resume_reading(); // what came meanwhile
}

void session::finish_step() {
  drop_unwanted_stage();
  account_memory();
  send_output();
  if (draining_ && !closing_ && protocol_->idle()) {
    protocol_->shut_down();
    answer_questions();
    send_output();
  }
  if (killed_ && !closing_ && !committing_)
    end_by_operator();
  set_state(halted_ == halt::memory  ? "waiting for memory"
            : halted_ == halt::store ? "waiting for the store"
                                     : smtp::to_string_view(protocol_->state()).data());
  update_standing();
  watch_time();
}

void session::send_output() {
  auto& output = protocol_->output();
  if (output.empty())
    return;
  // Whole lines; the last of each reply has a space after its code (RFC 5321 section 4.2.1).
  for (std::size_t at = 0, end = 0; (end = output.find('\n', at)) != std::string::npos; at = end + 1) {
    auto digit = [&](std::size_t place) { return static_cast<unsigned>(output[at + place] - '0'); };
    if (end - at >= 4 && output[at + 3] != '-')
      relay().counts.replies(digit(0) * 100 + digit(1) * 10 + digit(2)).add();
  }
  if (tracer_) [[unlikely]]
    tracer_->we_said(output);
  stream_->write(output);
  output.clear();
}

void session::answer_questions() {
  while (auto* question = protocol_->pending()) {
    auto answered = std::visit([this](auto& which) { return answer(which); }, *question);
    if (!answered)
      return;
  }
}

bool session::answer(const smtp::ask::check_connect&) {
  if (relay().draining) {
    protocol_->refuse_and_end(smtp::replies::shutting_down);
    return true;
  }
  return apply(filters_.empty() ? plugin::verdict{} : filters_.connect());
}

bool session::answer(const smtp::ask::check_helo&) {
  protocol_->tell_time(relay().time.wall());
  return apply(filters_.empty() ? plugin::verdict{} : filters_.helo(filter_view()));
}

bool session::answer(const smtp::ask::start_tls&) {
  send_output();
  begin_handshake(false);
  return false;
}

void session::begin_handshake(bool behind_header) {
  handshaking_ = true;
  timer_->start(policy_->settings.server.tls.handshake_timeout);
  auto& tls = policy_->listeners[listener_].tls;
  if (behind_header)
    stream_->start_tls_behind(tls);
  else
    stream_->start_tls(tls, net::tls_role::server);
}

bool session::answer(const smtp::ask::check_mail& question) {
  if (!may_send_as(question.reverse_path)) {
    protocol_->refuse(smtp::replies::sender_not_owned);
    return true;
  }
  count_for(question.reverse_path);
  if (auto* limit = look_at_user(1); limit != nullptr || (limit = look_at_client(1)) != nullptr) {
    protocol_->refuse(*limit);
    return true;
  }
  if (relay().draining) {
    protocol_->refuse(smtp::replies::shutting_down);
    return true;
  }
  if (auto now = relay().time.wall(); held_until(question.parameters, now) > now + protocol_->settings().hold_max) {
    relay().counts.limit_hit("server.max_hold").add();
    protocol_->refuse(smtp::replies::hold_too_long);
    return true;
  }
  // RFC 6710 section 8: not everybody's mail goes first.
  if (protocol_->identity().empty() && !peer_may_relay_)
    protocol_->limit_priority(0);
  return apply(filters_.empty() ? plugin::verdict{} : filters_.mail({question.reverse_path.text(), {}}));
}

bool session::answer(const smtp::ask::check_recipient& question) {
  if (!may_relay_to(question.forward_path)) {
    relay().counts.refused("relay").add();
    telemetry::log(level::info, component::session,
                   {"session.relay-denied", "relaying refused: neither authenticated nor in relay_from"},
                   {{"peer", node().label}, {"recipient", question.forward_path.text()}});
    protocol_->refuse(smtp::replies::relaying_denied);
    return true;
  }
  auto recipients = question.so_far.recipients.size() + 1;
  if (user_limits_.recipients_per_message != 0 && recipients > user_limits_.recipients_per_message) {
    relay().counts.limit_hit("user.recipients").add();
    protocol_->refuse(smtp::replies::too_many_recipients);
    return true;
  }
  if (auto* limit = look_at_user(recipients); limit != nullptr || (limit = look_at_client(recipients)) != nullptr) {
    protocol_->refuse(*limit);
    return true;
  }
  return apply(filters_.empty() ? plugin::verdict{} : filters_.recipient({question.forward_path.text(), {}}));
}

bool session::answer(const smtp::ask::check_data&) {
  if (!memory_.grow(smtp::body_slice_octets_first)) {
    relay().counts.refused("memory").add();
    protocol_->refuse(smtp::replies::out_of_memory);
  } else if (auto health = relay().plugins.store->health(); health != HEDWIG_OK) {
    relay().counts.refused("store").add();
    protocol_->refuse(smtp::storage_reply(health));
  } else {
    protocol_->accept();
  }
  return true;
}

bool session::answer(smtp::ask::take_message& question) {
  if (in_hand_ || committing_)
    return false; // it is under way
  dot_seen_ = loop().now();
  if (staged_)
    return end_stage();
  if (!front_.empty()) {
    front_.append(question.body);
    question.body = std::exchange(front_, {});
  }
  auto message = make_message(question.envelope, question.body);
  if (!message) {
    refuse_message(message.error());
    return true;
  }
  in_hand_ = std::move(*message);
  memory_.shrink(in_hand_->size);
  in_hand_->memory = std::make_shared<memory_reservation>(std::move(memory_));
  if (filters_.empty()) {
    settle_message({});
    return !is_open<smtp::ask::take_message>();
  }
  plugin::filter_message shown{in_hand_->id, in_hand_->envelope.reverse_path, {}, in_hand_->size};
  for (auto& one : in_hand_->envelope.recipients)
    shown.recipients.push_back(one.address);
  auto verdict = filters_.message(std::move(shown), *in_hand_->body);
  if (!verdict)
    return false;
  settle_message(*verdict);
  return !is_open<smtp::ask::take_message>();
}

bool session::answer(const smtp::ask::end& question) {
  if (closing_)
    return false;
  if (question.reason != smtp::ask::end_reason::quit)
    telemetry::log(level::info, component::session, {"session.ended", "the session was ended by us"},
                   {{"peer", node().label}, {"reason", smtp::to_string_view(question.reason)}});
  send_output();
  note("the session ended: " + std::string{smtp::to_string_view(question.reason)});
  close();
  return false;
}

bool session::apply(const std::optional<plugin::verdict>& verdict) {
  if (!verdict)
    return false;
  using action = plugin::verdict_action;
  switch (verdict->action) {
  case action::reject:
  case action::tempfail:
    relay().counts.refused("filter").add();
    protocol_->refuse(reply_of(*verdict));
    break;
  case action::disconnect:
    relay().counts.refused("filter").add();
    protocol_->refuse_and_end(reply_of(*verdict));
    break;
  default:
    protocol_->accept();
  }
  return true;
}

// ---- policy

bool session::may_relay_to(const mail::address& forward_path) const {
  if (peer_may_relay_ || !protocol_->identity().empty())
    return true;
  // RFC 5321 section 4.5.1: who takes mail for a domain takes it for its postmaster too.
  if (forward_path.domain().empty())
    return !listener_settings().relay_domains.empty();
  auto domain = forward_path.domain_key();
  return std::ranges::any_of(listener_settings().relay_domains,
                             [&](auto& pattern) { return config::domain_matches(pattern, domain); });
}

// ---- the message

std::expected<queue::message, smtp::reply> session::make_message(const smtp::transaction& envelope, const rope& text) {
  auto& server = policy_->settings.server;
  auto now = relay().time.wall();
  queue::message made;
  made.id = message_id::make(now, relay().next_random());
  auto id_text = made.id.text();
  auto& tls = protocol_->facts().tls;
  auto tls_text = tls ? tls->version + " " + tls->cipher : std::string{};
  auto protocol = protocol_->protocol_keyword(envelope.parameters.smtputf8);
  mail::received_info received{.helo = protocol_->helo(),
                               .peer_name = protocol_->facts().peer_name,
                               .peer_ip = protocol_->facts().peer_ip,
                               .by = server.hostname,
                               .protocol = protocol,
                               .tls = tls_text,
                               .id = id_text,
                               .recipient = {},
                               .smtputf8 = envelope.parameters.smtputf8,
                               .priority = envelope.parameters.priority,
                               .when = now};
  if (envelope.recipients.size() == 1)
    received.recipient = envelope.recipients.front().forward_path.text();
  auto prepared = mail::prepare_header(
      text, received, {.header_max = server.max_header_size, .received_max = server.max_received_fields});
  if (!prepared) {
    relay().counts.refused("header").add();
    return std::unexpected<smtp::reply>{smtp::header_reply(prepared.error())};
  }
  if (envelope.parameters.body == smtp::body_type::binary && !has_plain_header(text)) {
    relay().counts.refused("header").add();
    return std::unexpected<smtp::reply>{smtp::replies::binary_header};
  }
  if (auto* why = refuse_to_user(*prepared, envelope.recipients.size()))
    return std::unexpected<smtp::reply>{*why};

  made.envelope.reverse_path = envelope.reverse_path.text();
  for (auto& one : envelope.recipients) {
    auto address = one.forward_path.domain().empty() ? server.postmaster : one.forward_path.text();
    made.envelope.recipients.push_back({std::move(address), one.parameters.original_recipient, one.parameters.notify});
  }
  made.envelope.body = body_of(envelope.parameters.body);
  made.envelope.smtputf8 = envelope.parameters.smtputf8;
  made.envelope.returns = return_of(envelope.parameters.returns);
  made.envelope.envelope_id = envelope.parameters.envelope_id;
  take_handling(made.envelope, envelope.parameters, now);
  made.envelope.tls_not_required = !made.envelope.require_tls && prepared->tls_not_required;
  made.received = {.time = now,
                   .peer_address = protocol_->facts().peer_ip,
                   .peer_port = protocol_->facts().peer_port,
                   .helo = protocol_->helo(),
                   .listener = listener_settings().name,
                   .user = protocol_->identity(),
                   .protocol = std::string{protocol}};
  made.from_domains = std::move(prepared->from_domains);
  made.subject = std::move(prepared->subject);
  made.size = prepared->message.size();
  made.body = std::move(prepared->message);
  return made;
}

void session::settle_message(const plugin::verdict& verdict) {
  using action = plugin::verdict_action;
  auto message = std::move(*in_hand_);
  in_hand_.reset();
  filters_.reset();
  if (verdict.action == action::reject || verdict.action == action::tempfail || verdict.action == action::disconnect) {
    relay().counts.refused("filter").add();
    refuse_message(reply_of(verdict));
    if (verdict.action == action::disconnect)
      protocol_->shut_down();
    return;
  }
  if (verdict.action == action::discard) {
    telemetry::log(level::warn, component::filter, {"message.discarded", "a filter discarded an accepted message"},
                   {{"id", message.id.text()}, {"from", message.envelope.reverse_path}, {"reason", verdict.text}});
    relay().counts.dropped.add(message.envelope.recipients.size());
    protocol_->message_taken(message.id.text());
    return;
  }
  if (auto edited = apply_edits(message, verdict.edits); !edited) {
    telemetry::log(level::warn, component::filter, {"filter.edit-failed", "the changes a filter asked for do not fit"},
                   {{"id", message.id.text()}, {"error", edited.error().text()}});
    relay().counts.refused("filter").add();
    smtp::reply why = smtp::replies::local_error;
    why.why = smtp::refusal_reason::filter;
    refuse_message(why);
    return;
  }
  store(std::make_shared<const queue::message>(std::move(message)), verdict.action == action::quarantine);
}

void session::store(queue::message_ptr message, bool quarantine, std::optional<rope> staged_rest) {
  static_cast<void>(message->memory->pass_to(memory_user::spooler));
  committing_ = message;
  send(handles_->spooler,
       store_message{
           std::move(message), quarantine, caf::actor_cast<caf::actor>(this), ++token_, {}, std::move(staged_rest)});
}

void session::refuse_message(const smtp::reply& why) {
  filters_.reset();
  protocol_->refuse(why);
}

void session::on_stored(const message_stored& outcome) {
  if (closing_ || outcome.token != token_ || !committing_)
    return; // the client did not wait; what is committed is delivered all the same
  auto message = std::move(*committing_);
  committing_.reset();
  if (outcome.status != HEDWIG_OK) {
    relay().counts.refused("store").add();
    protocol_->refuse(smtp::storage_reply(outcome.status));
    go_on();
    return;
  }
  auto id = message->id.text();
  protocol_->message_taken(id);
  relay().counts.accept_time.observe(std::chrono::duration<double>(loop().now() - dot_seen_).count());
  relay().counts.received.add();
  relay().counts.received_bytes.add(message->size);
  relay().counts.recipients.add(message->envelope.recipients.size());
  telemetry::log(level::info, component::session, {"message.accepted", "taken and durable"},
                 {{"id", id},
                  {"from", message->envelope.reverse_path},
                  {"recipients", message->envelope.recipients.size()},
                  {"size", message->size},
                  {"peer", node().label},
                  {"helo", message->received.helo},
                  {"user", message->received.user},
                  {"protocol", message->received.protocol},
                  {"listener", message->received.listener}});
  go_on();
}

void session::on_plugin_answers(plugin_answers& answers) {
  for (auto& one : answers.done) {
    if (closing_ || protocol_->pending() == nullptr)
      return;
    auto verdict = filters_.answered(one);
    if (!verdict)
      continue;
    if (is_open<smtp::ask::take_message>())
      settle_message(*verdict);
    else if (entering_)
      let_in(*verdict);
    else
      apply(verdict);
  }
  go_on();
}

void session::close() {
  if (std::exchange(closing_, true))
    return;
  if (staged_)
    drop_stage_now();
  set_state("closing");
  timer_->cancel();
  stream_->close();
}

void session::drain() {
  on_loop([&] {
    draining_ = true;
    if (!protocol_)
      stream_->abort();
    else if (!closing_)
      finish_step();
  });
}

plugin::filter_session_view session::filter_view() const {
  auto& facts = protocol_->facts();
  return {.tls = facts.tls.has_value(),
          .client_certificate = stream_->tls() != nullptr && stream_->tls()->peer_verified,
          .session = std::to_string(id()),
          .listener = listener_settings().name,
          .peer = facts.peer_ip,
          .peer_name = facts.peer_name,
          .local = {},
          .tls_version = facts.tls ? facts.tls->version : std::string{},
          .tls_cipher = facts.tls ? facts.tls->cipher : std::string{},
          .helo = protocol_->helo(),
          .identity = user_,
          .user = user_facts_};
}

} // namespace hedwig
