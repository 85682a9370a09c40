// SPDX-License-Identifier: Apache-2.0
#include "actors/bouncer.hpp"

#include "runtime/mail/dsn.hpp"
#include "runtime/mail/header.hpp"
#include "runtime/telemetry/log.hpp"

#include <algorithm>

namespace hedwig {

namespace {

/// What a header may have grown by since it was received.
constexpr std::uint64_t header_room = 16 * 1024;

std::string header_of(const rope& body) {
  auto block = mail::header_block::parse(body);
  if (!block)
    return {};
  std::string text;
  for (auto& field : block->fields())
    text.append(field.name.data(), field.size);
  return text;
}

/// "mx.example.com[192.0.2.1]:25" → name and address.
std::pair<std::string, std::string> split_remote(const std::string& remote) {
  auto open = remote.find('[');
  if (open == std::string::npos)
    return {remote, {}};
  auto close = remote.find(']', open);
  return {remote.substr(0, open), close == std::string::npos ? "" : remote.substr(open + 1, close - open - 1)};
}

std::string_view kind_text(mail::dsn_kind kind) {
  switch (kind) {
  case mail::dsn_kind::failure:
    return "failed";
  case mail::dsn_kind::delay:
    return "delayed";
  default:
    return "relayed";
  }
}

std::optional<wall_time> deliver_by_of(const queue::envelope& of) {
  return of.deliver_by ? std::optional{of.deliver_by->until} : std::nullopt;
}

mail::dsn_recipient describe(const report_failure& request, std::uint32_t index, const queue::retry_policy& retry) {
  auto& known = request.message->envelope.recipients[index];
  auto& state = request.state->recipients[index];
  auto [host, ip] = split_remote(state.remote);
  mail::dsn_recipient made{.final_recipient = known.address,
                           .original_recipient = known.original_address,
                           .status = state.last_reply.status,
                           .remote_mta = std::move(host),
                           .remote_ip = std::move(ip),
                           .reply_code = state.last_reply.code,
                           .text = state.last_reply.text,
                           .last_attempt = {},
                           .will_retry_until = {},
                           .attempts = state.attempts};
  if (state.last_attempt != wall_time{})
    made.last_attempt = state.last_attempt;
  if (request.kind == mail::dsn_kind::delay) {
    made.will_retry_until = queue::life_ends(*request.state, retry);
    if (request.message->envelope.deliver_by) // RFC 2852 section 4.1.4.2
      made.status = "4.4.7";
  }
  return made;
}

} // namespace

caf::behavior bouncer::make_behavior() {
  set_state("ready");
  return {[this](const report_failure& request) { on_report(request); },
          [this](const body_loaded& loaded) { on_body(loaded); },
          [this](const rewire& fresh) { handles_ = fresh.handles; }};
}

void bouncer::on_report(const report_failure& request) {
  if (request.message->body) {
    notify(request, &*request.message->body);
    return;
  }
  // No more of it than may go back: a header is within its limit but for what we added.
  auto policy = relay().policy();
  auto most = std::max(policy->settings.server.max_header_size + header_room, policy->settings.dsn.max_return_size);
  loading_.insert_or_assign(request.message->id, request);
  send(handles_->spooler,
       load_body{.id = request.message->id, .reply_to = caf::actor_cast<caf::actor>(this), .length = most});
}

void bouncer::on_body(const body_loaded& loaded) {
  auto found = loading_.extract(loaded.id);
  if (!found.empty())
    notify(found.mapped(), loaded.body.get()); // without the header where it cannot be read
}

void bouncer::notify(const report_failure& request, const rope* body) {
  auto policy = relay().policy();
  auto now = relay().time.wall();
  auto header = body == nullptr ? std::string{} : header_of(*body);
  auto& dsn_settings = policy->settings.dsn;
  auto& envelope = request.message->envelope;
  // RFC 3461 section 4.3: of failures only, and as the sender says, if he does.
  auto full = envelope.returns == queue::return_type::unsaid ? dsn_settings.return_message == config::dsn_return::full
                                                             : envelope.returns == queue::return_type::full;
  // RFC 8689 section 5: the way back may not be encrypted.
  auto wanted = full && !envelope.require_tls && request.kind == mail::dsn_kind::failure;
  auto whole = wanted && body != nullptr && request.message->size <= dsn_settings.max_return_size;
  auto original = whole ? body->flatten() : std::string{};
  if (wanted && !whole)
    relay().counts.limit_hit("dsn.max_return_size").add();
  queue::message made;
  made.id = message_id::make(now, relay().next_random());
  mail::dsn_report report{.kind = request.kind,
                          .reporting_mta = policy->settings.server.hostname,
                          .from = policy->settings.dsn.from,
                          .sender = envelope.reverse_path,
                          .envelope_id = envelope.envelope_id,
                          .unique = made.id.text(),
                          .now = now,
                          .arrival = request.message->received.time,
                          .deliver_by = deliver_by_of(envelope),
                          .queue_id = request.message->id.text(),
                          .recipients = {},
                          .original_headers = header,
                          .original = original};
  for (auto index : request.recipients)
    report.recipients.push_back(describe(request, index, policy->retry));
  auto dsn = mail::make_dsn(report);

  made.envelope.priority = envelope.priority;
  made.envelope.recipients.push_back({report.sender, {}, 0});
  made.envelope.body = dsn.is_8bit ? queue::body_type::eight_bit_mime : queue::body_type::seven_bit;
  made.envelope.smtputf8 = dsn.needs_smtputf8;
  made.received.time = now;
  made.from_domains = {policy->settings.server.hostname};
  made.subject = "delivery status notification";
  made.size = dsn.text.size();
  made.memory = std::make_shared<memory_reservation>(relay().memory, memory_user::spooler);
  made.memory->grow_anyway(made.size);
  rope text;
  text.append_copy(dsn.text);
  made.body = std::move(text);
  relay().counts.notifications(kind_text(request.kind)).add();
  telemetry::log(telemetry::level::info, telemetry::component::bouncer,
                 {"message.notified", "a delivery status notification goes to the sender"},
                 {{"id", report.queue_id},
                  {"notification", report.unique},
                  {"to", report.sender},
                  {"kind", kind_text(request.kind)},
                  {"recipients", request.recipients.size()}});
  send(handles_->spooler, store_message{.message = std::make_shared<const queue::message>(std::move(made)),
                                        .quarantine = false,
                                        .reply_to = {},
                                        .token = 0,
                                        .about = request.message});
}

} // namespace hedwig
