// SPDX-License-Identifier: Apache-2.0
#include "app/spool_text.hpp"

#include "actors/console_json.hpp"

#include <Poco/JSON/Array.h>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <unistd.h>

#include <iostream>
#include <utility>

namespace hedwig::app {

namespace {

constexpr auto progress_interval = std::chrono::milliseconds{300};

std::string path_text(std::string_view address) { return address.empty() ? "<>" : printable(address); }

std::string recipients_text(const queue::envelope& envelope) {
  if (envelope.recipients.empty())
    return "nobody";
  auto text = printable(envelope.recipients.front().address);
  if (envelope.recipients.size() > 1)
    text += fmt::format(" and {} more", envelope.recipients.size() - 1);
  return text;
}

Poco::JSON::Object recipient_object(const queue::recipient& known, const queue::recipient_state& state) {
  Poco::JSON::Object object;
  object.set("address", console::utf8_text(known.address));
  object.set("status", std::string{queue::to_string_view(state.status)});
  object.set("attempts", state.attempts);
  object.set("due", state.status == queue::recipient_status::pending ? time_text(state.due) : std::string{});
  object.set("last_attempt", time_text(state.last_attempt));
  object.set("last_code", state.last_reply.code);
  object.set("last_status", console::utf8_text(state.last_reply.status));
  object.set("last_text", console::utf8_text(state.last_reply.text));
  object.set("remote", console::utf8_text(state.remote));
  return object;
}

} // namespace

spool_message understand(plugin::storage_entry entry) {
  auto known = queue::decode_metadata(entry.metadata, entry.id);
  if (known)
    known->message.size = entry.body_size;
  return {std::move(entry), std::move(known)};
}

std::string damage_text(const spool_message& of) {
  auto why = queue::damage_of(of.entry.metadata, of.entry.id);
  return why ? *why : of.known ? std::string{} : of.known.error().message;
}

std::string time_text(wall_time when) {
  if (when == wall_time{} || when == wall_time::max())
    return {};
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", std::chrono::floor<std::chrono::seconds>(when));
}

std::string age_text(wall_time since, wall_time now) {
  auto seconds = now > since ? std::chrono::floor<std::chrono::seconds>(now - since).count() : 0;
  for (auto [size, unit] : {std::pair{86'400, 'd'}, std::pair{3'600, 'h'}, std::pair{60, 'm'}})
    if (seconds >= 2 * size)
      return fmt::format("{}{}", seconds / size, unit);
  return fmt::format("{}s", seconds);
}

std::string printable(std::string_view text) {
  std::string out;
  for (char c : console::utf8_text(text))
    if ((static_cast<unsigned char>(c) < ' ' && c != '\t') || c == '\x7f')
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    else
      out += c;
  return out;
}

std::string list_heading() {
  return fmt::format("{:26}  {:11}  {:>5}  {:>5}  {:20}  {:>10}  {}\n", "id", "state", "age", "tries", "next attempt",
                     "octets", "from, to");
}

std::string list_line(const spool_message& of, wall_time now) {
  auto waits = of.entry.state == HEDWIG_STATE_QUEUED || of.entry.state == HEDWIG_STATE_DEFERRED;
  auto front = [&](const std::string& age, const std::string& attempts) {
    return fmt::format("{:26}  {:11}  {:>5}  {:>5}  {:20}  {:>10}  ", of.entry.id.text(),
                       console::name_of_state(of.entry.state), age, attempts,
                       waits ? time_text(of.entry.due) : std::string{}, of.entry.body_size);
  };
  if (!of.known)
    return front("?", "?") + "damaged: " + printable(damage_text(of)) + "\n";
  auto& envelope = of.known->message.envelope;
  return front(age_text(of.known->record.first_queued, now), std::to_string(of.known->record.attempts)) +
         path_text(envelope.reverse_path) + ", " + recipients_text(envelope) + "\n";
}

Poco::JSON::Object list_object(const spool_message& of) {
  Poco::JSON::Object object;
  object.set("id", of.entry.id.text());
  object.set("state", console::name_of_state(of.entry.state));
  object.set("due", time_text(of.entry.due));
  object.set("size", of.entry.body_size);
  if (auto why = damage_text(of); !why.empty())
    object.set("damaged", console::utf8_text(why));
  if (!of.known)
    return object;
  auto& [message, record] = *of.known;
  Poco::JSON::Array to;
  for (auto& one : message.envelope.recipients)
    to.add(console::utf8_text(one.address));
  object.set("from", console::utf8_text(message.envelope.reverse_path));
  object.set("to", to);
  object.set("queued_at", time_text(record.first_queued));
  object.set("attempts", record.attempts);
  object.set("last_error", console::utf8_text(record.last_error));
  return object;
}

Poco::JSON::Object whole_object(const spool_message& of) {
  auto object = list_object(of);
  if (!of.known)
    return object;
  auto& [message, record] = *of.known;
  object.set("subject", console::utf8_text(message.subject));
  object.set("peer", console::utf8_text(message.received.peer_address));
  object.set("helo", console::utf8_text(message.received.helo));
  object.set("listener", console::utf8_text(message.received.listener));
  object.set("user", console::utf8_text(message.received.user));
  object.set("protocol", console::utf8_text(message.received.protocol));
  Poco::JSON::Array recipients;
  for (std::size_t i = 0; i < std::min(message.envelope.recipients.size(), record.recipients.size()); ++i)
    recipients.add(recipient_object(message.envelope.recipients[i], record.recipients[i]));
  object.set("recipient_states", recipients);
  return object;
}

namespace {

/// "451 4.3.0 not now", without the parts that are not there: no host has said why a connection failed.
std::string reply_line(const queue::reply& reply) {
  auto code = reply.code == 0 ? std::string{} : std::to_string(reply.code) + " ";
  auto status = reply.status.empty() ? std::string{} : printable(reply.status) + " ";
  return code + status + printable(reply.text);
}

} // namespace

std::string whole_text(const spool_message& of) {
  auto line = [](std::string_view name, std::string_view value) {
    return value.empty() ? std::string{} : fmt::format("{:14}{}\n", name, value);
  };
  auto text = line("id", of.entry.id.text()) + line("state", console::name_of_state(of.entry.state)) +
              line("due", time_text(of.entry.due)) + line("octets", std::to_string(of.entry.body_size)) +
              line("damaged", printable(damage_text(of)));
  if (!of.known)
    return text;
  auto& [message, record] = *of.known;
  text += line("received", time_text(record.first_queued)) + line("from", path_text(message.envelope.reverse_path)) +
          line("client", printable(message.received.peer_address)) + line("helo", printable(message.received.helo)) +
          line("user", printable(message.received.user)) + line("subject", printable(message.subject)) +
          line("attempts", std::to_string(record.attempts)) + line("last error", printable(record.last_error));
  for (std::size_t i = 0; i < std::min(message.envelope.recipients.size(), record.recipients.size()); ++i) {
    auto& state = record.recipients[i];
    text += line("to", fmt::format("{} {}", path_text(message.envelope.recipients[i].address),
                                   queue::to_string_view(state.status)));
    if (state.attempts > 0)
      text += line("", fmt::format("{} {}, the last {}{}: {}", state.attempts, state.attempts == 1 ? "try" : "tries",
                                   time_text(state.last_attempt),
                                   state.remote.empty() ? "" : " at " + printable(state.remote),
                                   reply_line(state.last_reply)));
  }
  return text;
}

spool_progress::spool_progress(std::string doing) : doing_{std::move(doing)}, shown_{::isatty(STDERR_FILENO) == 1} {}

spool_progress::~spool_progress() {
  if (shown_ && messages_ > 0)
    std::cerr << "\r\033[K";
}

void spool_progress::add(std::uint64_t messages, std::uint64_t octets) {
  messages_ += messages;
  octets_ += octets;
  auto now = clock::system().steady();
  if (!shown_ || now < next_)
    return;
  next_ = now + progress_interval;
  show();
}

void spool_progress::show() {
  std::cerr << fmt::format("\r\033[K{}: {} messages, {:.1f} MiB", doing_, messages_,
                           static_cast<double>(octets_) / (1024 * 1024))
            << std::flush;
}

} // namespace hedwig::app
