// SPDX-License-Identifier: Apache-2.0
// How a session keeps its memory: what it holds of a message is reserved before it is read, and a message that is too
// large goes to the store part by part while it arrives.
#include "actors/session.hpp"

#include "runtime/mail/header.hpp"

#include <algorithm>

namespace hedwig {

using smtp::session_state;

namespace {

/// What one read of a stream brings at most.
constexpr std::size_t read_max = 64 * 1024;
/// How often it is looked whether there is memory again: at first, and at most.
constexpr auto look_interval_first = std::chrono::milliseconds{20};
constexpr auto look_interval_max = std::chrono::milliseconds{500};

} // namespace

// ---- memory

std::uint64_t session::held() const noexcept { return protocol_->body_octets_held() + front_.size(); }

bool session::make_room(std::size_t octets) {
  return memory_.grow(front_.size() + protocol_->body_octets_held_after(octets));
}

void session::account_memory() {
  if (protocol_->state() != session_state::data || protocol_->body_given_up())
    memory_.shrink(held());
}

void session::wait_for(halt what) {
  halted_ = what;
  stream_->pause_reading();
  if (what != halt::memory)
    return;
  relay().counts.limit_hit("process.message_memory").add();
  // What is held already is worth more in the store than here.
  if (staged_ && !part_open_ && held() > 0)
    stage_rest_of(protocol_->take_body());
  else if (!staged_ && held() > 0 && !filters_.want_content())
    begin_stage();
  if (halted_ != halt::memory)
    return; // the message was given up
  if (patience_end_ == steady_time{})
    patience_end_ = loop().now() + policy_->settings.process.message_memory_wait;
  look_interval_ = look_interval_first;
  timer_->start(look_interval_);
}

void session::stop_waiting() {
  if (std::exchange(halted_, halt::none) == halt::none)
    return;
  stream_->resume_reading();
}

void session::look_for_room() {
  auto wanted = front_.size() + protocol_->body_octets_held_after(read_max);
  auto more = wanted - std::min<std::uint64_t>(wanted, memory_.bytes());
  if (!staged_ && wanted > relay().memory.most(memory_user::sessions)) {
    // Filters look at messages as a whole: to come again would not help.
    relay().counts.refused("memory").add();
    give_up_message(smtp::replies::too_big);
  } else if (relay().memory.fits(memory_user::sessions, more) && memory_.grow(wanted)) {
    patience_end_ = {};
    stop_waiting();
  } else if (loop().now() >= patience_end_) {
    relay().counts.refused("memory").add();
    give_up_message(smtp::replies::out_of_memory);
  } else {
    look_interval_ = std::min<std::chrono::nanoseconds>(look_interval_ * 2, look_interval_max);
    timer_->start(look_interval_);
    return;
  }
  finish_step();
}

// ---- staging

void session::stage_if_large() {
  if (!protocol_->receiving() || protocol_->body_given_up() || halted_ != halt::none)
    return;
  auto threshold = policy_->settings.queue.stage_above;
  if (!staged_) {
    if (protocol_->body_octets() > std::max(threshold, next_look_) && !filters_.want_content())
      begin_stage();
    return;
  }
  if (protocol_->body_octets_held() < policy_->body_part())
    return;
  if (part_open_)
    wait_for(halt::store);
  else
    stage_rest_of(protocol_->take_body());
}

/// The header is finished before the first byte goes to the store, and stands in front there.
void session::begin_stage() {
  front_.append(protocol_->take_body());
  auto refuse = [this](mail::header_fault fault) {
    relay().counts.refused("header").add();
    give_up_message(smtp::header_reply(fault));
  };
  auto header = mail::header_block::parse(front_);
  if (!header)
    return refuse(header.error());
  if (!header->ended()) {
    auto& limits = policy_->settings.server;
    if (header->size() > limits.max_header_size)
      return refuse(mail::header_fault::too_long);
    next_look_ = protocol_->body_octets() * 2;
    return;
  }
  auto message = make_message(*protocol_->current(), front_);
  if (!message)
    return give_up_message(message.error());
  front_ = {};
  auto first = std::move(*message->body);
  message->body.reset();
  message->size = 0;
  staged_ = std::move(*message);
  stage_rest_of(std::move(first));
}

void session::stage_rest_of(rope part) {
  auto first = staged_->size == 0;
  staged_->size += part.size();
  memory_.shrink(part.size());
  auto memory = std::make_shared<memory_reservation>(memory_.split(part.size()));
  static_cast<void>(memory->pass_to(memory_user::spooler));
  auto* envelope = protocol_->current();
  auto announced = first && envelope != nullptr ? envelope->parameters.size.value_or(0) : 0;
  part_open_ = true;
  send(handles_->spooler, stage_part{.id = staged_->id,
                                     .part = std::move(part),
                                     .memory = std::move(memory),
                                     .size_hint = std::min(announced, policy_->settings.server.max_message_size),
                                     .first = first,
                                     .reply_to = caf::actor_cast<caf::actor>(this)});
}

void session::on_part_staged(const part_staged& outcome) {
  if (closing_ || !staged_ || outcome.id != staged_->id)
    return;
  part_open_ = false;
  if (outcome.status != HEDWIG_OK) {
    staged_.reset(); // the spooler has dropped it
    relay().counts.refused("store").add();
    if (is_open<smtp::ask::take_message>())
      refuse_message(smtp::storage_reply(outcome.status));
    else
      give_up_message(smtp::storage_reply(outcome.status));
  } else if (halted_ == halt::store) {
    stop_waiting();
  } else if (halted_ == halt::memory) {
    look_for_room();
  }
  stage_if_large();
  go_on();
}

/// All of it was read; whether the question is answered.
bool session::end_stage() {
  if (part_open_)
    return false;
  auto rest = std::move(std::get<smtp::ask::take_message>(*protocol_->pending()).body);
  auto message = std::move(*staged_);
  staged_.reset();
  filters_.reset();
  message.size += rest.size();
  memory_.shrink(rest.size());
  message.memory = std::make_shared<memory_reservation>(std::move(memory_));
  store(std::make_shared<const queue::message>(std::move(message)), false, std::move(rest));
  return false;
}

/// The rest of it is read and thrown away, and answered with `why`.
void session::give_up_message(const smtp::reply& why) {
  protocol_->abandon_message(why);
  drop_unwanted_stage();
  patience_end_ = {};
  stop_waiting();
}

void session::drop_unwanted_stage() {
  auto wanted = protocol_->receiving() ? !protocol_->body_given_up() : is_open<smtp::ask::take_message>();
  if (wanted)
    return;
  front_ = {};
  next_look_ = 0;
  if (staged_)
    drop_stage_now();
}

void session::drop_stage_now() {
  send(handles_->spooler, drop_stage{staged_->id});
  staged_.reset();
  part_open_ = false;
  if (halted_ == halt::store)
    stop_waiting();
}

} // namespace hedwig
