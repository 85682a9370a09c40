// SPDX-License-Identifier: Apache-2.0
// Bodies that are not in memory as a whole: into the store part by part while they arrive, and out of it part by part.
// A store has one request a message at a time, so reads and changes of one message wait for each other here.
#include "actors/spooler.hpp"

#include "runtime/telemetry/log.hpp"

#include <algorithm>

namespace hedwig {

using telemetry::component;
using telemetry::level;

namespace {

/// Bytes that count until nobody has them any more.
struct counted_bytes {
  slice bytes;
  memory_hold memory;
};

slice counted(const slice& part, const memory_hold& memory) {
  auto* kept = new counted_bytes{part, memory};
  auto view = part.view();
  auto owner = buffer::wrap(
      reinterpret_cast<const std::uint8_t*>(view.data()), view.size(),
      [](void* context) { delete static_cast<counted_bytes*>(context); }, kept);
  return {std::move(owner), view};
}

} // namespace

// ---- into the store

void spooler::on_stage_part(stage_part& part) {
  auto found = stages_.find(part.id);
  if (found == stages_.end() && part.first) {
    begin_stage(part);
    return;
  }
  if (found == stages_.end() || found->second.busy || found->second.dropped) {
    send(part.reply_to, part_staged{part.id, HEDWIG_E_NOT_FOUND});
    return;
  }
  append(part.id, part);
}

void spooler::begin_stage(stage_part& part) {
  monitor(part.reply_to);
  auto& fresh = stages_[part.id];
  fresh.owner = part.reply_to->address();
  fresh.busy = true;
  relay().counts.staged.set(static_cast<std::int64_t>(stages_.size()));
  auto hint = part.size_hint;
  store_->stage(hint, then([this, part = std::move(part)](auto& answer) mutable {
                  auto id = part.id;
                  if (!answer) {
                    appended(id, part.reply_to, answer);
                    return;
                  }
                  stages_.at(id).number = plugin::as<plugin::storage_stage>(*answer).stage;
                  append(id, part);
                }));
}

void spooler::append(const message_id& id, stage_part& part) {
  auto& of = stages_.at(id);
  of.busy = true;
  // The memory counts until the store has taken the bytes.
  store_->append(of.number, std::move(part.part),
                 then([this, id, reply_to = part.reply_to, memory = part.memory](auto& answer) {
                   appended(id, reply_to, answer);
                 }));
}

void spooler::appended(const message_id& id, const caf::actor& reply_to, result<plugin::outcome>& answer) {
  auto found = stages_.find(id);
  found->second.busy = false;
  auto status = answer ? HEDWIG_OK : answer.error().status;
  if (!answer) {
    relay().counts.store_errors.add();
    telemetry::log(level::error, component::spooler,
                   {"message.not-staged", "the store did not take a part of a message that arrives"},
                   {{"id", id.text()}, {"error", answer.error().text()}});
  }
  if (!answer || found->second.dropped)
    discard(found);
  send(reply_to, part_staged{id, status});
}

void spooler::on_drop_stage(const drop_stage& what) {
  auto found = stages_.find(what.id);
  if (found == stages_.end())
    return;
  if (found->second.busy)
    found->second.dropped = true;
  else
    discard(found);
}

void spooler::discard(stages::iterator which) {
  if (auto number = take_stage(which->first); number != 0)
    store_->drop(number);
}

std::uint64_t spooler::take_stage(const message_id& id) {
  auto found = stages_.extract(id);
  if (found.empty())
    return 0;
  demonitor(found.mapped().owner);
  relay().counts.staged.set(static_cast<std::int64_t>(stages_.size()));
  return found.mapped().number;
}

/// A session ended with a body under way.
void spooler::on_down(const caf::down_msg& down) {
  std::vector<message_id> orphans;
  for (auto& [id, of] : stages_)
    if (of.owner == down.source)
      orphans.push_back(id);
  for (auto& id : orphans)
    on_drop_stage({id});
}

// ---- in memory

/// A body in memory stays there, and a small one is read into it, where there is room.
memory_hold spooler::give_room(entry& of) {
  auto& message = of.message;
  auto there = message->body.has_value();
  if (there && message->memory && message->memory->pass_to(memory_user::caches))
    return message->memory;
  if (there || message->memory)
    message = queue::with_body(*message, std::nullopt);
  if (there)
    return nullptr;
  if (message->size > relay().policy()->settings.queue.stage_above)
    return nullptr;
  auto room = std::make_shared<memory_reservation>(relay().memory, memory_user::caches);
  return room->grow(message->size) ? room : nullptr;
}

// ---- out of the store

void spooler::on_load_body(const load_body& question) {
  auto* of = find(question.id);
  if (of == nullptr) {
    answer_unread(question, HEDWIG_E_NOT_FOUND);
    return;
  }
  body_reading work{.question = question, .memory = {}};
  if (question.length > 0) {
    work.memory = std::make_shared<memory_reservation>(relay().memory, memory_user::deliveries);
    if (!waiting_parts_.empty() || !take_memory(work, of->message->size)) {
      waiting_parts_.push_back(std::move(work));
      look_for_memory_later();
      return;
    }
  }
  of->reads.push_back(std::move(work));
  if (!of->writing && !of->reading)
    leave_if_done(question.id);
}

/// Deliveries have a share of the memory that nobody else takes; one of them goes on whatever its size.
bool spooler::take_memory(body_reading& part, std::uint64_t size) {
  auto& asked = part.question;
  asked.length = std::min(asked.length, size - std::min(asked.offset, size));
  if (part.memory->grow(asked.length))
    return true;
  if (relay().memory.used(memory_user::deliveries) > 0)
    return false;
  part.memory->grow_anyway(asked.length);
  return true;
}

void spooler::serve_waiting_parts() {
  while (!waiting_parts_.empty()) {
    auto& next = waiting_parts_.front();
    auto id = next.question.id;
    auto* of = find(id);
    if (of != nullptr) {
      auto room = relay().memory.fits(memory_user::deliveries, next.question.length) ||
                  relay().memory.used(memory_user::deliveries) == 0;
      if (!room || !take_memory(next, of->message->size))
        break;
      of->reads.push_back(std::move(next));
    } else {
      answer_unread(next.question, HEDWIG_E_NOT_FOUND);
    }
    waiting_parts_.pop_front();
    leave_if_done(id);
  }
  if (!waiting_parts_.empty())
    look_for_memory_later();
}

void spooler::read_next(entry& of) {
  of.reading = true;
  auto next = std::move(of.reads.front());
  of.reads.pop_front();
  read_on(of.message->id, std::move(next));
}

/// A store may give less than it is asked for.
void spooler::read_on(const message_id& id, body_reading work) {
  auto& asked = work.question;
  auto got = work.body->size();
  plugin::read_request request{.id = id, .hint = find(id)->hint, .offset = asked.offset + got};
  if (asked.length > 0)
    request.length = asked.length - got;
  store_->read(request, then([this, id, work = std::move(work)](auto& answer) mutable {
                 body_read(id, std::move(work), answer);
               }));
}

void spooler::body_read(const message_id& id, body_reading work, result<plugin::outcome>& answer) {
  auto& of = *find(id); // nobody leaves while its body is read
  auto& asked = work.question;
  auto wanted = asked.length > 0 ? asked.length : of.message->size;
  auto* part = answer ? &plugin::as<plugin::storage_body>(*answer) : nullptr;
  if (part == nullptr || part->body_size != of.message->size || part->body.empty()) {
    auto why = part == nullptr ? answer.error() : error{HEDWIG_E_CORRUPT, "the body has another size", {}, 0};
    of.reading = false;
    not_readable(id, why);
    answer_unread(asked, why.status);
    leave_if_done(id);
    return;
  }
  for (auto& one : part->body.parts())
    work.body->append(work.memory ? counted(one, work.memory) : one);
  if (work.body->size() < wanted) {
    read_on(id, std::move(work));
    return;
  }
  of.reading = false;
  send(asked.reply_to, body_loaded{id, std::move(work.body), HEDWIG_OK, asked.token});
  leave_if_done(id);
}

void spooler::answer_unread(const load_body& question, hedwig_status why) {
  send(question.reply_to, body_loaded{question.id, nullptr, why, question.token});
}

void spooler::not_readable(const message_id& id, const error& why) {
  telemetry::log(level::error, component::spooler, {"message.unreadable", "its body cannot be read"},
                 {{"id", id.text()}, {"error", why.text()}});
  // What a moment may mend is tried again like any attempt that failed; damage is for a person.
  if (auto* of = find(id); of != nullptr && why.status == HEDWIG_E_CORRUPT)
    of->damage = why.message;
}

} // namespace hedwig
