// SPDX-License-Identifier: Apache-2.0
#include "actors/console_json.hpp"

#include "runtime/queue/metadata.hpp"

#include <Poco/JSON/Array.h>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <sstream>

namespace hedwig::console {

namespace {

struct state_name {
  std::uint32_t state;
  const char* name;
};
constexpr std::array state_names{state_name{HEDWIG_STATE_QUEUED, "queued"},
                                 state_name{HEDWIG_STATE_DEFERRED, "deferred"}, state_name{HEDWIG_STATE_HELD, "held"},
                                 state_name{HEDWIG_STATE_BOUNCED, "bounced"},
                                 state_name{HEDWIG_STATE_QUARANTINED, "quarantined"}};

constexpr std::string_view replacement = "\xEF\xBF\xBD";

/// Octets of the well-formed sequence at the front of `text`; 0 when there is none (RFC 3629 section 4).
std::size_t sequence_size(std::string_view text) noexcept {
  auto at = [&](std::size_t i) -> unsigned { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  auto tail = [&](std::size_t i) { return (at(i) & 0xC0U) == 0x80U; };
  auto lead = at(0);
  if (lead < 0x80)
    return 1;
  if (lead >= 0xC2 && lead <= 0xDF)
    return tail(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    auto overlong = lead == 0xE0 && at(1) < 0xA0;
    auto surrogate = lead == 0xED && at(1) > 0x9F;
    return tail(1) && tail(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    auto overlong = lead == 0xF0 && at(1) < 0x90;
    auto beyond = lead == 0xF4 && at(1) > 0x8F;
    return tail(1) && tail(2) && tail(3) && !overlong && !beyond ? 4 : 0;
  }
  return 0;
}

std::string time_text(wall_time when) {
  if (when == wall_time{} || when == wall_time::max())
    return {};
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", std::chrono::floor<std::chrono::seconds>(when));
}

void describe(Poco::JSON::Object& object, const queue::message& message, const queue::record& state) {
  using queue::recipient_state;
  auto pending = std::ranges::count(state.recipients, queue::recipient_status::pending, &recipient_state::status);
  object.set("from", utf8_text(message.envelope.reverse_path));
  object.set("recipients", message.envelope.recipients.size());
  object.set("pending", pending);
  auto& all = message.envelope.recipients;
  object.set("first_recipient", all.empty() ? std::string{} : utf8_text(all.front().address));
  object.set("size", message.size);
  object.set("queued_at", time_text(state.first_queued));
  object.set("attempts", state.attempts);
  object.set("last_error", utf8_text(state.last_error));
  object.set("held_until", time_text(state.held_until));
}

Poco::JSON::Object describe_recipient(const queue::recipient& known, const queue::recipient_state& state) {
  Poco::JSON::Object object;
  object.set("address", utf8_text(known.address));
  object.set("status", std::string{queue::to_string_view(state.status)});
  object.set("in_delivery", state.in_flight);
  object.set("attempts", state.attempts);
  object.set("unknown_outcomes", state.unknown);
  object.set("due", state.status == queue::recipient_status::pending ? time_text(state.due) : std::string{});
  object.set("last_attempt", time_text(state.last_attempt));
  object.set("last_code", state.last_reply.code);
  object.set("last_status", utf8_text(state.last_reply.status));
  object.set("last_text", utf8_text(state.last_reply.text));
  object.set("remote", utf8_text(state.remote));
  return object;
}

Poco::JSON::Object describe_whole(const queue::message& message, const queue::record& state) {
  Poco::JSON::Object object;
  describe(object, message, state);
  object.set("subject", utf8_text(message.subject));
  object.set("peer", utf8_text(message.received.peer_address));
  object.set("helo", utf8_text(message.received.helo));
  object.set("listener", utf8_text(message.received.listener));
  object.set("user", utf8_text(message.received.user));
  object.set("protocol", utf8_text(message.received.protocol));
  auto& envelope = message.envelope;
  object.set("priority", static_cast<int>(envelope.priority.value_or(0)));
  object.set("deliver_by", envelope.deliver_by ? time_text(envelope.deliver_by->until) : std::string{});
  object.set("requiretls", envelope.require_tls);
  Poco::JSON::Array recipients;
  auto count = std::min(message.envelope.recipients.size(), state.recipients.size());
  for (std::size_t i = 0; i < count; ++i)
    recipients.add(describe_recipient(message.envelope.recipients[i], state.recipients[i]));
  object.set("recipient_states", recipients);
  return object;
}

void set_place(Poco::JSON::Object& object, const row& one) {
  object.set("id", one.entry.id.text());
  object.set("state", one.state ? "active" : name_of_state(one.entry.state));
  auto waits = !one.state && (one.entry.state == HEDWIG_STATE_QUEUED || one.entry.state == HEDWIG_STATE_DEFERRED);
  object.set("due", waits ? time_text(one.entry.due) : std::string{});
}

Poco::JSON::Object describe_row(const row& one) {
  Poco::JSON::Object object;
  set_place(object, one);
  if (one.state) {
    describe(object, *one.message, *one.state);
  } else if (auto known = queue::decode_metadata(one.entry.metadata, one.entry.id)) {
    known->message.size = one.entry.body_size;
    describe(object, known->message, known->record);
  } else {
    object.set("size", one.entry.body_size);
    object.set("last_error", utf8_text("damaged: " + known.error().text()));
  }
  return object;
}

} // namespace

std::string utf8_text(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  while (!text.empty()) {
    auto size = sequence_size(text);
    clean += size == 0 ? replacement : text.substr(0, size);
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
  return clean;
}

std::string text_of(const Poco::JSON::Object& object) {
  std::ostringstream out;
  object.stringify(out);
  out << '\n';
  return std::move(out).str();
}

std::string failure(std::string_view why) {
  Poco::JSON::Object object;
  object.set("error", utf8_text(why));
  return text_of(object);
}

const char* name_of_state(std::uint32_t state) noexcept {
  auto found = std::ranges::find(state_names, state, &state_name::state);
  return found == state_names.end() ? "unknown" : found->name;
}

std::uint32_t mask_of_states(std::string_view name) noexcept {
  std::uint32_t mask = 0;
  for (auto& one : state_names)
    if (name.empty() ? one.state != HEDWIG_STATE_BOUNCED : name == one.name || name == "all")
      mask |= HEDWIG_STATE_MASK(one.state);
  return mask;
}

std::string cursor_text(std::string_view cursor) {
  std::string text;
  for (unsigned char c : cursor)
    text += fmt::format("{:02x}", c);
  return text;
}

std::optional<std::string> cursor_of(std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  if (text.size() % 2 != 0 || text.size() > std::size_t{2} * HEDWIG_CURSOR_MAX)
    return std::nullopt;
  std::string cursor;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    auto high = digits.find(text[i]);
    auto low = digits.find(text[i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos)
      return std::nullopt;
    cursor += static_cast<char>(high << 4U | low);
  }
  return cursor;
}

std::string_view refusal(std::string_view verb, std::uint32_t state) noexcept {
  if (verb == "queue.delete")
    return {};
  if (state == HEDWIG_STATE_BOUNCED)
    return "it has failed for good and its sender was told; it is kept as evidence and can only be deleted";
  if (state == HEDWIG_STATE_QUARANTINED && verb != "queue.release" && verb != "queue.bounce")
    return "it is quarantined: release, bounce or delete it";
  if (state == HEDWIG_STATE_HELD && verb == "queue.retry")
    return "it is held: release it";
  if (verb == "queue.release" && state != HEDWIG_STATE_HELD && state != HEDWIG_STATE_QUARANTINED)
    return "it is not held";
  return {};
}

std::string list(const std::vector<row>& rows, std::string_view cursor) {
  Poco::JSON::Array messages;
  for (auto& one : rows)
    messages.add(describe_row(one));
  Poco::JSON::Object object;
  object.set("messages", messages);
  object.set("cursor", cursor_text(cursor));
  return text_of(object);
}

std::optional<std::string> show(const row& one, std::string& why) {
  Poco::JSON::Object object;
  if (one.state) {
    object = describe_whole(*one.message, *one.state);
  } else {
    auto known = queue::decode_metadata(one.entry.metadata, one.entry.id);
    if (!known) {
      why = "damaged: " + known.error().text();
      return std::nullopt;
    }
    known->message.size = one.entry.body_size;
    object = describe_whole(known->message, known->record);
  }
  set_place(object, one);
  return text_of(object);
}

} // namespace hedwig::console
