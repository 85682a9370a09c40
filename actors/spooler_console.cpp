// SPDX-License-Identifier: Apache-2.0
// What the console asks of the spooler: the queue, listed, shown and changed. A message that is active is changed once
// its attempt has ended; one that rests is changed in the store at once.
#include "actors/spooler.hpp"

#include "runtime/queue/metadata.hpp"
#include "runtime/telemetry/log.hpp"

#include <Poco/JSON/Array.h>
#include <Poco/JSON/Object.h>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <sstream>

namespace hedwig {

using telemetry::component;
using telemetry::level;

namespace {

struct state_name {
  std::uint32_t state;
  const char* name;
};
constexpr std::array state_names{state_name{HEDWIG_STATE_QUEUED, "queued"}, state_name{HEDWIG_STATE_DEFERRED, "deferred"},
                                 state_name{HEDWIG_STATE_HELD, "held"}, state_name{HEDWIG_STATE_BOUNCED, "bounced"},
                                 state_name{HEDWIG_STATE_QUARANTINED, "quarantined"}};

const char* name_of(std::uint32_t state) {
  auto found = std::ranges::find(state_names, state, &state_name::state);
  return found == state_names.end() ? "unknown" : found->name;
}

std::uint32_t mask_of(const std::string& name) {
  std::uint32_t mask = 0;
  for (auto& one : state_names)
    if (name.empty() ? one.state != HEDWIG_STATE_BOUNCED : name == one.name || name == "all")
      mask |= HEDWIG_STATE_MASK(one.state);
  return mask;
}

std::string time_text(wall_time when) {
  if (when == wall_time{} || when == wall_time::max())
    return {};
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", std::chrono::floor<std::chrono::seconds>(when));
}

std::string hex(std::string_view bytes) {
  std::string text;
  for (unsigned char c : bytes)
    text += fmt::format("{:02x}", c);
  return text;
}

std::string bytes_of(const std::string& hex_text) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex_text.size(); i += 2) {
    unsigned value = 0;
    if (std::sscanf(hex_text.c_str() + i, "%2x", &value) != 1)
      return {};
    bytes += static_cast<char>(value);
  }
  return bytes;
}

std::string stringify(const Poco::JSON::Object& object) {
  std::ostringstream out;
  object.stringify(out);
  out << '\n';
  return out.str();
}

std::string error_json(const std::string& why) {
  Poco::JSON::Object object;
  object.set("error", why);
  return stringify(object);
}

void describe(Poco::JSON::Object& object, const queue::message& message, const queue::record& state) {
  object.set("from", message.envelope.reverse_path);
  object.set("recipients", message.envelope.recipients.size());
  object.set("pending", std::ranges::count(state.recipients, queue::recipient_status::pending, &queue::recipient_state::status));
  object.set("size", message.size);
  object.set("queued_at", time_text(state.first_queued));
  object.set("attempts", state.attempts);
  object.set("last_error", state.last_error);
}

Poco::JSON::Object describe_recipient(const queue::recipient& known, const queue::recipient_state& state) {
  Poco::JSON::Object object;
  object.set("address", known.address);
  object.set("status", std::string{queue::to_string_view(state.status)});
  object.set("in_delivery", state.in_flight);
  object.set("attempts", state.attempts);
  object.set("unknown_outcomes", state.unknown);
  object.set("due", time_text(state.due));
  object.set("last_attempt", time_text(state.last_attempt));
  object.set("last_code", state.last_reply.code);
  object.set("last_status", state.last_reply.status);
  object.set("last_text", state.last_reply.text);
  object.set("remote", state.remote);
  return object;
}

Poco::JSON::Object describe_whole(const queue::message& message, const queue::record& state) {
  Poco::JSON::Object object;
  object.set("id", message.id.text());
  describe(object, message, state);
  object.set("subject", message.subject);
  object.set("peer", message.received.peer_address);
  object.set("helo", message.received.helo);
  object.set("listener", message.received.listener);
  object.set("user", message.received.user);
  object.set("protocol", message.received.protocol);
  Poco::JSON::Array recipients;
  for (std::size_t i = 0; i < message.envelope.recipients.size(); ++i)
    recipients.add(describe_recipient(message.envelope.recipients[i], state.recipients[i]));
  object.set("recipient_states", recipients);
  return object;
}

constexpr auto not_found_text = "no such message: it was delivered, deleted, or never here";

} // namespace

void spooler::on_console(const console_request& request) {
  if (request.verb == "queue.list")
    console_list(request);
  else if (request.verb == "queue.show")
    console_show(request);
  else if (request.verb == "resume" || request.verb == "pause")
    console_pause(request);
  else
    console_change(request);
}

void spooler::console_pause(const console_request& request) {
  relay().paused = request.verb == "pause";
  telemetry::log(level::info, component::admin, {"relay.pause-set", "delivery paused or resumed by the console"},
                 {{"paused", relay().paused.load()}});
  if (!relay().paused)
    on_resume();
  Poco::JSON::Object object;
  object.set("paused", relay().paused.load());
  request.answer(stringify(object), HEDWIG_OK);
}

void spooler::console_list(const console_request& request) {
  auto mask = mask_of(request.argument);
  if (mask == 0) {
    request.answer(error_json("no such state: queued, deferred, held, bounced, quarantined or all"), HEDWIG_E_INVALID);
    return;
  }
  plugin::list_request list{
      .states = mask, .by_receipt = true, .metadata = true, .cursor = bytes_of(request.cursor), .limit = request.limit};
  store_->list(std::move(list), then([this, request](auto& answer) {
                 if (!answer) {
                   request.answer(error_json(answer.error().text()), answer.error().status);
                   return;
                 }
                 auto& listing = plugin::as<plugin::storage_listing>(*answer);
                 Poco::JSON::Array messages;
                 for (auto& entry : listing.entries)
                   messages.add(describe_entry(entry));
                 Poco::JSON::Object object;
                 object.set("messages", messages);
                 object.set("cursor", hex(listing.cursor));
                 request.answer(stringify(object), HEDWIG_OK);
               }));
}

Poco::JSON::Object spooler::describe_entry(const plugin::storage_entry& entry) {
  Poco::JSON::Object object;
  object.set("id", entry.id.text());
  auto* live = find(entry.id);
  object.set("state", live != nullptr ? "active" : name_of(entry.state));
  object.set("due", time_text(entry.due));
  if (live != nullptr) {
    describe(object, *live->message, live->state);
  } else if (auto known = queue::decode_metadata(entry.metadata, entry.id)) {
    known->message.size = entry.body_size;
    describe(object, known->message, known->record);
  } else {
    object.set("last_error", "damaged: " + known.error().text());
  }
  return object;
}

void spooler::console_show(const console_request& request) {
  auto id = message_id::parse(request.argument);
  if (!id) {
    request.answer(error_json("not a message id: it has 26 letters and digits"), HEDWIG_E_INVALID);
    return;
  }
  if (auto* live = find(*id)) {
    auto object = describe_whole(*live->message, live->state);
    object.set("state", "active");
    request.answer(stringify(object), HEDWIG_OK);
    return;
  }
  store_->stat(*id, {}, then([request](auto& answer) {
                 if (!answer) {
                   auto missing = answer.error().status == HEDWIG_E_NOT_FOUND;
                   request.answer(error_json(missing ? not_found_text : answer.error().text()), answer.error().status);
                   return;
                 }
                 auto& entry = plugin::as<plugin::storage_entry>(*answer);
                 auto known = queue::decode_metadata(entry.metadata, entry.id);
                 if (!known) {
                   request.answer(error_json("damaged: " + known.error().text()), HEDWIG_E_CORRUPT);
                   return;
                 }
                 known->message.size = entry.body_size;
                 auto object = describe_whole(known->message, known->record);
                 object.set("state", name_of(entry.state));
                 object.set("due", time_text(entry.due));
                 request.answer(stringify(object), HEDWIG_OK);
               }));
}

void spooler::console_change(const console_request& request) {
  auto id = message_id::parse(request.argument);
  if (!id) {
    request.answer(error_json("not a message id: it has 26 letters and digits"), HEDWIG_E_INVALID);
    return;
  }
  telemetry::log(level::info, component::admin, {"queue.changed", "the console changes a message"},
                 {{"verb", request.verb}, {"id", request.argument}});
  if (auto* live = find(*id)) {
    change_active(*live, request);
    return;
  }
  store_->stat(*id, {}, then([this, request](auto& answer) {
                 if (answer)
                   change_stored(plugin::as<plugin::storage_entry>(*answer), request);
                 else if (answer.error().status == HEDWIG_E_NOT_FOUND)
                   request.answer(error_json(not_found_text), HEDWIG_E_NOT_FOUND);
                 else
                   request.answer(error_json(answer.error().text()), answer.error().status);
               }));
}

void spooler::change_active(entry& of, const console_request& request) {
  auto id = of.message->id;
  Poco::JSON::Object object;
  object.set("id", id.text());
  object.set("when", "after the attempt that is under way");
  if (request.verb == "queue.hold")
    of.hold_wanted = true;
  else if (request.verb == "queue.release")
    of.hold_wanted = false;
  else if (request.verb == "queue.delete")
    of.delete_wanted = true;
  else if (request.verb == "queue.bounce")
    of.bounce_wanted = true;
  else
    object.set("when", "it is being tried now");
  request.answer(stringify(object), HEDWIG_OK);
}

void spooler::change_stored(plugin::storage_entry& found, const console_request& request) {
  auto done = [this, request, id = found.id](auto& answer) {
    if (!answer) {
      request.answer(error_json(answer.error().text()), answer.error().status);
      return;
    }
    Poco::JSON::Object object;
    object.set("id", id.text());
    object.set("when", "now");
    request.answer(stringify(object), HEDWIG_OK);
    if (request.verb == "queue.delete")
      relay().counts.queue_depth.subtract();
    else if (handles_)
      send(handles_->retry_timer, due_at{relay().time.wall()});
  };
  if (request.verb == "queue.delete") {
    store_->remove({.id = found.id, .hint = found.hint, .revision = found.revision, .ride = false}, then(done));
    return;
  }
  auto known = queue::decode_metadata(found.metadata, found.id);
  if (!known) {
    request.answer(error_json("damaged: " + known.error().text()), HEDWIG_E_CORRUPT);
    return;
  }
  auto now = relay().time.wall();
  auto& state = known->record;
  plugin::move_request move{
      .id = found.id, .hint = found.hint, .revision = found.revision, .state = found.state, .due = found.due, .metadata = {}, .replace_metadata = true};
  if (request.verb == "queue.hold") {
    state.held = true;
    move.state = HEDWIG_STATE_HELD;
  } else if (request.verb == "queue.bounce") {
    // Failed now, on disk first; becoming due, it is settled like any other: with a notification.
    auto policy = relay().policy();
    std::ignore = queue::apply(state, queue::fail_pending(state, {554, "5.7.1", "Bounced by the operator"}), now, policy->retry, 0);
    state.held = false;
    move.state = HEDWIG_STATE_DEFERRED;
    move.due = now;
  } else { // retry, release
    state.held = false;
    queue::make_due(state, now);
    move.state = HEDWIG_STATE_DEFERRED;
    move.due = now;
  }
  auto metadata = queue::encode_metadata(known->message, state);
  if (!metadata) {
    request.answer(error_json(metadata.error().text()), metadata.error().status);
    return;
  }
  move.metadata = std::move(*metadata);
  store_->move(std::move(move), then(done));
}

} // namespace hedwig
