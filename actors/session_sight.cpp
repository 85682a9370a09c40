// SPDX-License-Identifier: Apache-2.0
// What an operator sees of a session, and how he ends one.
#include "actors/session.hpp"

#include "runtime/telemetry/log.hpp"

#include <fmt/format.h>

namespace hedwig {

using smtp::session_state;

bool session::fits(const smtp::session_filter& whose) const {
  return stream_ != nullptr && whose.fits(client_, user_, listener_settings().name);
}

const char* session::dialogue_state() const {
  if (closing_)
    return "closing";
  if (awaiting_proxy_)
    return "proxy";
  if (handshaking_)
    return "handshake";
  if (!protocol_ || protocol_->state() == session_state::greeting)
    return "greeting";
  if (halted_ != halt::none)
    return halted_ == halt::memory ? "memory" : "store";
  switch (protocol_->state()) {
  case session_state::waiting:
    return committing_ || staged_ ? "commit" : is_open<smtp::ask::authenticate>() || denying_ ? "login" : "filter";
  case session_state::data:
    return "data";
  case session_state::auth:
    return "auth";
  default:
    return protocol_->helo().empty() ? "hello" : protocol_->current() != nullptr ? "mail" : "idle";
  }
}

session_row session::row() const {
  auto now = relay().time.steady();
  session_row made{.id = number(),
                   .client = client_.ip_text(),
                   .port = client_.port(),
                   .listener = listener_settings().name,
                   .tls = {},
                   .user = user_,
                   .helo = {},
                   .state = dialogue_state(),
                   .octets = octets_,
                   .age = now - begun_,
                   .idle = now - heard_};
  if (auto* info = stream_->tls())
    made.tls = info->version;
  if (protocol_) {
    auto& counted = protocol_->counters();
    made.helo = protocol_->helo();
    made.messages = counted.messages_accepted;
    made.refused = counted.bad_commands + counted.recipients_refused + counted.messages_refused + counted.auth_failures;
  }
  return made;
}

kill_outcome session::kill() {
  auto outcome = kill_outcome::none;
  on_loop([&] {
    if (closing_ || stream_ == nullptr)
      return;
    killed_ = true;
    // What its client hears of a message must be what became of it.
    outcome = committing_ ? kill_outcome::after_commit : kill_outcome::ended;
    if (!committing_)
      end_by_operator();
  });
  return outcome;
}

void session::end_by_operator() {
  if (handshaking_ || awaiting_proxy_) {
    stream_->abort(); // a reply in clear text would be taken for a part of the handshake, or is for nobody yet
    return;
  }
  if (!protocol_) {
    relay().count_refusal(smtp::replies::killed);
    stream_->write(smtp::to_wire(smtp::replies::killed));
    close();
    return;
  }
  protocol_->kill();
  answer_questions();
}

void session::look_at_traces() {
  auto& board = relay().traces;
  trace_epoch_ = board.epoch();
  std::vector<std::shared_ptr<smtp::trace>> fitting;
  if (trace_epoch_ != 0)
    fitting = board.fitting(client_, user_, listener_settings().name, relay().time.steady());
  if (fitting.empty()) {
    protocol_->watch(nullptr);
    tracer_.reset();
    return;
  }
  if (!tracer_)
    tracer_ = std::make_unique<smtp::trace_writer>(relay().time, number(), client_.text());
  tracer_->write_to(std::move(fitting), fmt::format("at {}, state {}{}{}{}{}", listener_settings().name,
                                                    dialogue_state(), protocol_->helo().empty() ? "" : ", EHLO ",
                                                    protocol_->helo(), user_.empty() ? "" : ", user ", user_));
  protocol_->watch(tracer_.get());
}

} // namespace hedwig
