// SPDX-License-Identifier: Apache-2.0
#include "actors/delivery.hpp"

#include "runtime/dns/mx_rules.hpp"
#include "runtime/telemetry/log.hpp"

#include <algorithm>

namespace hedwig {

using telemetry::component;
using telemetry::level;

namespace {

/// Bytes handed to the stream before it says that it is full.
constexpr std::size_t output_step = 256 * 1024;
/// Transactions for one job on hosts that asked for another one ("too many recipients").
constexpr std::uint32_t again_max = 20;
/// Addresses of one host that are tried.
constexpr std::size_t addresses_max = 8;

smtp::tls_mode protocol_mode(queue::tls_mode mode) {
  switch (mode) {
  case queue::tls_mode::none:
    return smtp::tls_mode::none;
  case queue::tls_mode::require:
    return smtp::tls_mode::require;
  case queue::tls_mode::verify:
    return smtp::tls_mode::verify;
  default:
    return smtp::tls_mode::opportunistic;
  }
}

queue::outcome_kind kind_of(smtp::disposition disposition) {
  switch (disposition) {
  case smtp::disposition::delivered:
    return queue::outcome_kind::delivered;
  case smtp::disposition::failed:
    return queue::outcome_kind::failed;
  case smtp::disposition::unknown:
    return queue::outcome_kind::unknown;
  default:
    return queue::outcome_kind::deferred;
  }
}

smtp::verdict verdict_of(const dns::no_route& why) {
  auto verdict = smtp::classify(smtp::client_stage::resolve,
                                why.permanent ? smtp::local_failure::no_mail_host : smtp::local_failure::dns_temporary);
  verdict.text = why.text;
  return verdict;
}

net::address to_net(const dns::ip_address& ip, std::uint16_t port) {
  auto parsed = net::address::parse_ip(ip.text(), port);
  if (!parsed)
    panic("an address of the DNS has no text form");
  return *parsed;
}

void add_parameter(std::string& to, std::string_view keyword, std::string_view value) {
  to.append(to.empty() ? "" : " ").append(keyword).append("=").append(value);
}

/// RFC 3461 section 5.2.1: passed on as they came.
std::string dsn_parameters(const queue::envelope& envelope) {
  std::string text;
  if (envelope.returns != queue::return_type::unsaid)
    add_parameter(text, "RET", envelope.returns == queue::return_type::full ? "FULL" : "HDRS");
  if (!envelope.envelope_id.empty())
    add_parameter(text, "ENVID", envelope.envelope_id);
  return text;
}

std::string dsn_parameters(const queue::recipient& to) {
  constexpr std::pair<std::uint8_t, std::string_view> words[] = {{queue::notify_never, "NEVER"},
                                                                 {queue::notify_success, "SUCCESS"},
                                                                 {queue::notify_failure, "FAILURE"},
                                                                 {queue::notify_delay, "DELAY"}};
  std::string events;
  for (auto& [bit, word] : words)
    if ((to.notify & bit) != 0)
      events.append(events.empty() ? "" : ",").append(word);
  std::string text;
  if (!events.empty())
    add_parameter(text, "NOTIFY", events);
  if (!to.original_address.empty())
    add_parameter(text, "ORCPT", to.original_address);
  return text;
}

/// RFC 2852 section 4.1.4: passed on with what is left of the time.
std::optional<smtp::deliver_by_request> time_left(const queue::envelope& of, wall_time now) {
  if (!of.deliver_by)
    return std::nullopt;
  constexpr std::chrono::seconds most{999'999'999};
  auto left = std::chrono::floor<std::chrono::seconds>(of.deliver_by->until - now);
  return smtp::deliver_by_request{std::clamp(left, -most, most), of.deliver_by->return_it, of.deliver_by->trace};
}

std::chrono::seconds whole_seconds(config::duration value) { return std::chrono::ceil<std::chrono::seconds>(value); }

smtp::client_timeouts timeouts_of(const config::outbound_settings& settings) {
  smtp::client_timeouts all;
  auto command = whole_seconds(settings.command_timeout);
  all.greeting = all.ehlo = all.auth = all.mail = all.rcpt = all.reset = command;
  all.starttls = all.handshake = all.data_start = std::min(command, std::chrono::seconds{120});
  all.data_block = whole_seconds(settings.data_timeout);
  all.final_dot = whole_seconds(settings.final_timeout);
  return all;
}

} // namespace

delivery::delivery(caf::actor_config& config, relay_context& context, io_unit& unit, const actor_place& place,
                   delivery_assignment assignment)
  : pinned_actor{config, context, unit, "delivery", place}, assignment_{std::move(assignment)}, policy_{
                                                                                                    context.policy()} {}

caf::behavior delivery::begin() {
  timer_.emplace(loop(), [this] { on_loop([this] { on_timeout(); }); });
  monitor(assignment_.owner);
  set_down_handler([this](const caf::down_msg&) { quit(); }); // nobody is left to report to: the dispatcher knows
  choose_order();
  next_host();
  return {[this](const addresses_found& found) { on_addresses(found); },
          [this](deliver& request) { on_deliver(request); }, [this](const body_loaded& part) { on_body(part); },
          [this](release) { on_release(); }};
}

void delivery::end() {
  relay().deliveries_open.fetch_sub(1, std::memory_order_relaxed);
  relay().counts.pool_entries.subtract();
  timer_.reset();
  stream_.reset();
  assignment_ = {};
}

// ---- finding a host that answers

void delivery::choose_order() {
  // RFC 5321 section 5.1: hosts of equal preference in random order, anew for each connection.
  hosts_ = assignment_.destination->hosts;
  auto& preferences = assignment_.destination->preferences;
  for (std::size_t begin = 0; begin < preferences.size();) {
    auto end = begin + 1;
    while (end < preferences.size() && preferences[end] == preferences[begin])
      ++end;
    for (auto last = end - 1; last > begin; --last)
      std::swap(hosts_[last], hosts_[begin + relay().next_random() % (last - begin + 1)]);
    begin = end;
  }
}

void delivery::next_host() {
  if (host_ >= hosts_.size()) {
    give_up(last_cause_);
    return;
  }
  auto& hop = hosts_[host_++];
  remote_host_ = hop.host;
  remote_.reset();
  tls_now_ = assignment_.destination->tls;
  if (auto literal = net::address::parse_ip(hop.host, hop.port)) {
    addresses_.clear();
    if (auto why = refusal_of(*literal))
      note_cause(smtp::classify(smtp::client_stage::connect, smtp::local_failure::no_mail_host, *why));
    else
      addresses_ = {*literal};
    next_address();
    return;
  }
  set_state("resolving");
  auto self = caf::actor_cast<caf::actor>(this);
  relay().resolver->addresses(hop.host, [self, token = ++lookup_](dns::address_answer answer) {
    caf::anon_send(self, addresses_found{token, std::make_shared<const dns::address_answer>(std::move(answer))});
  });
}

void delivery::on_addresses(const addresses_found& found) {
  if (found.token != lookup_ || finished_)
    return;
  relay().counts.lookups("address", dns::to_string_view(found.answer->status)).add();
  if (auto failure = dns::address_failure(remote_host_, *found.answer)) {
    note_cause(verdict_of(*failure));
    next_host();
    return;
  }
  auto usable = dns::usable_addresses(remote_host_, *found.answer, address_policy());
  if (!usable) {
    note_cause(verdict_of(usable.error()));
    next_host();
    return;
  }
  auto port = hosts_[host_ - 1].port;
  addresses_.clear();
  for (auto& ip : *usable)
    if ((policy_->settings.outbound.ipv6 || !ip.v6()) && addresses_.size() < addresses_max)
      addresses_.push_back(to_net(ip, port));
  if (addresses_.empty())
    note_cause(
        smtp::classify(smtp::client_stage::connect, smtp::local_failure::connect_failed, "it has IPv6 addresses only"));
  next_address();
}

dns::address_policy delivery::address_policy() const {
  auto all = !assignment_.destination->found_by_dns || policy_->allow_private_mx;
  return {.allow_loopback = all, .allow_private = all};
}

std::optional<std::string> delivery::refusal_of(const net::address& literal) const {
  if (!assignment_.destination->found_by_dns)
    return std::nullopt; // the operator wrote it
  auto ip = dns::ip_address::parse(literal.ip_text());
  return ip ? dns::refusal(*ip, address_policy()) : std::nullopt;
}

void delivery::note_cause(smtp::verdict cause) {
  // Over several hosts: as long as one of them may work later, the mail waits for it.
  auto waits = last_cause_known_ && last_cause_.disposition != smtp::disposition::failed;
  if (waits && cause.disposition == smtp::disposition::failed)
    return;
  last_cause_ = std::move(cause);
  last_cause_known_ = true;
}

void delivery::next_address() {
  if (addresses_.empty()) {
    next_host();
    return;
  }
  auto to = addresses_.front();
  addresses_.pop_front();
  tls_now_ = assignment_.destination->tls;
  connect(to);
}

void delivery::connect(const net::address& to) {
  set_state("connecting");
  remote_ = to;
  session_.reset();
  auto& settings = policy_->settings.outbound;
  auto& source_text = to.is_v4() ? settings.source_ipv4 : settings.source_ipv6;
  std::optional<net::address> source;
  if (!source_text.empty())
    if (auto parsed = net::address::parse_ip(source_text))
      source = *parsed;
  auto opened = loop().connect(to, source, *this,
                               {.timeout = std::chrono::ceil<std::chrono::milliseconds>(settings.connect_timeout)});
  if (!opened) {
    relay().counts.delivery_connections("failed").add();
    connection_failed(
        smtp::classify(smtp::client_stage::connect, smtp::local_failure::connect_failed, opened.error().text()));
    return;
  }
  stream_ = std::move(*opened);
}

void delivery::on_connected() {
  on_loop([this] {
    relay().counts.delivery_connections("connected").add();
    start_session(tls_now_);
  });
}

void delivery::start_session(queue::tls_mode tls) {
  set_state("greeting");
  session_.emplace(smtp::client_options{.helo_name = policy_->settings.server.helo_hostname,
                                        .remote_host = remote_host_,
                                        .remote_ip = remote_->ip_text(),
                                        .tls = protocol_mode(tls),
                                        .pipelining = true,
                                        .requiretls = assignment_.destination->requiretls,
                                        .credentials = {},
                                        .timeouts = timeouts_of(policy_->settings.outbound),
                                        .replies = {}});
  advance();
}

void delivery::connection_failed(const smtp::verdict& cause) {
  note_cause(cause);
  telemetry::log(level::info, component::delivery, {"delivery.host-failed", "a host could not be used"},
                 {{"destination", assignment_.destination->key}, {"host", remote_text()}, {"error", cause.text}});
  if (relay().draining)
    give_up(cause);
  else
    next_address();
}

void delivery::give_up(const smtp::verdict& cause) {
  if (job_) {
    // No host is left for these: what the last one said stands.
    std::vector<std::size_t> indices(remaining_.begin(), remaining_.end());
    auto outcomes = smtp::spread(cause, indices, remote_host_, remote_ ? remote_->ip_text() : "", false);
    for (auto& one : outcomes)
      one.next = smtp::next_step::none;
    report(outcomes);
    job_.reset();
    finish(delivery_status::kind::ended, cause);
    return;
  }
  finish(announced_ready_ ? delivery_status::kind::ended : delivery_status::kind::failed, cause);
}

std::string delivery::remote_text() const {
  return remote_ ? remote_host_ + "[" + remote_->ip_text() + "]:" + std::to_string(remote_->port()) : remote_host_;
}

// ---- the stream

std::size_t delivery::on_data(std::string_view data) {
  on_loop([&] {
    if (!session_)
      return;
    session_->feed(data);
    advance();
  });
  return data.size();
}

void delivery::on_tls(const net::tls_info& info) {
  on_loop([&] {
    handshaking_ = false;
    relay().counts.tls("out", "success").add();
    session_->tls_started({.version = info.version, .cipher = info.cipher, .verified = info.peer_verified});
    advance();
  });
}

void delivery::on_end() {
  on_loop([this] {
    if (session_ && !session_->is_closed()) {
      session_->connection_lost("the server closed the connection");
      advance();
    }
  });
}

void delivery::on_drained() {
  on_loop([this] {
    if (session_)
      advance();
  });
}

void delivery::on_closed(std::optional<error> reason) {
  on_loop([&] {
    auto why = reason ? reason->message : std::string{"the connection was closed"};
    if (!session_) { // never connected
      relay().counts.delivery_connections("failed").add();
      auto failure = reason && reason->status == HEDWIG_E_TIMEOUT ? smtp::local_failure::connect_timeout
                                                                  : smtp::local_failure::connect_failed;
      connection_failed(smtp::classify(smtp::client_stage::connect, failure, why));
      return;
    }
    if (session_->is_closed())
      return;
    if (std::exchange(handshaking_, false)) {
      relay().counts.tls("out", "failed").add();
      if (tls_now_ == queue::tls_mode::opportunistic && remote_) {
        // Encryption with a broken handshake protects nobody; the same host gets a second chance in clear.
        telemetry::log(level::info, component::delivery,
                       {"delivery.tls-broken", "the handshake failed; trying in clear"},
                       {{"host", remote_text()}, {"error", why}});
        tls_now_ = queue::tls_mode::none;
        connect(*remote_);
        return;
      }
      session_->tls_failed(why, reason && reason->status == HEDWIG_E_DENIED);
    } else {
      session_->connection_lost(why);
    }
    advance();
  });
}

// ---- the dialogue

void delivery::advance() {
  while (session_) {
    auto event = session_->next_event();
    if (!event)
      break;
    std::visit([this](auto& what) { on(what); }, *event);
  }
  if (!session_)
    return;
  send_output();
  ask_for_body();
  watch_time();
}

/// One part goes out while the next one is read.
void delivery::ask_for_body() {
  auto part = policy_->body_part();
  auto wanted = std::min(session_->body_wanted(part / 2), part);
  if (wanted == 0 || !stream_ || std::exchange(body_asked_, true))
    return;
  send(assignment_.spooler, load_body{.id = job_->message->id,
                                      .reply_to = caf::actor_cast<caf::actor>(this),
                                      .token = transaction_,
                                      .offset = body_read_,
                                      .length = wanted});
}

void delivery::on_body(const body_loaded& part) {
  if (part.token != transaction_ || !std::exchange(body_asked_, false) || !session_ ||
      session_->stage() != smtp::client_stage::body)
    return;
  if (part.body) {
    body_read_ += part.body->size();
    session_->add_body(*part.body);
  } else {
    untried_ = plugin::is_momentary(part.status);
    session_->body_lost(body_unreadable().text);
  }
  advance();
}

void delivery::send_output() {
  std::vector<slice> out;
  while (stream_ && session_->has_output() && stream_->writable()) {
    out.clear();
    if (session_->next_output(out, output_step) == 0)
      break;
    for (auto& part : out)
      stream_->write(std::move(part));
  }
}

void delivery::on(const smtp::client_start_tls&) {
  send_output();
  set_state("handshake");
  handshaking_ = true;
  auto& context = tls_now_ == queue::tls_mode::verify ? policy_->client_tls_verified : policy_->client_tls;
  stream_->start_tls(context, net::tls_role::client, remote_host_);
}

void delivery::on(const smtp::client_ready&) {
  if (job_)
    begin_transaction(); // begun on another host
  else
    become_ready();
}

void delivery::become_ready() {
  auto& limits = policy_->settings.outbound;
  if (relay().draining || session_->transactions() >= limits.max_messages_per_connection) {
    finish(delivery_status::kind::ended, {});
    return;
  }
  set_state("ready");
  announced_ready_ = true;
  send(assignment_.owner, delivery_status{delivery_status::kind::ready, assignment_.connection, {}, remote_text()});
}

void delivery::on_deliver(deliver& request) {
  if (finished_ || !session_ || !session_->is_idle()) {
    send(assignment_.owner, job_returned{std::move(request.job)});
    return;
  }
  job_ = std::move(request.job);
  remaining_ = job_->recipients;
  again_ = 0;
  begin_transaction();
  advance();
}

void delivery::begin_transaction() {
  set_state("sending");
  transaction_began_ = loop().now();
  auto& message = *job_->message;
  ++transaction_;
  body_read_ = 0;
  body_asked_ = false;
  smtp::client_transaction transaction{.reverse_path = message.envelope.reverse_path};
  if (job_->signature.size() > 0)
    transaction.body.append(job_->signature);
  if (message.body)
    transaction.body.append(*message.body);
  else
    transaction.body_follows = message.size;
  transaction.is_binary = message.envelope.body == queue::body_type::binary_mime;
  transaction.is_8bit = message.envelope.body != queue::body_type::seven_bit;
  transaction.needs_smtputf8 = message.envelope.smtputf8;
  transaction.parameters = dsn_parameters(message.envelope);
  for (auto index : remaining_)
    transaction.recipients.push_back(
        {index, message.envelope.recipients[index].address, dsn_parameters(message.envelope.recipients[index])});
  if (message.envelope.priority)
    transaction.priority = *message.envelope.priority;
  transaction.deliver_by = time_left(message.envelope, relay().due_clock.now());
  session_->begin(std::move(transaction));
}

void delivery::on(smtp::client_transaction_done& event) {
  auto more_hosts = host_ < hosts_.size() || !addresses_.empty();
  std::vector<smtp::recipient_outcome> settled;
  remaining_.clear();
  bool same_host = false;
  for (auto& one : event.outcomes) {
    auto again = one.next == smtp::next_step::again && again_ < again_max;
    auto elsewhere = one.next == smtp::next_step::next_host && more_hosts;
    if ((again || elsewhere) && !relay().draining) {
      remaining_.push_back(static_cast<std::uint32_t>(one.recipient));
      same_host |= again;
    } else {
      settled.push_back(std::move(one));
    }
  }
  auto spent = std::chrono::duration<double>(loop().now() - transaction_began_).count();
  auto domain = queue::domain_of(job_->message->envelope.recipients[job_->recipients.front()].address);
  if (send_time_ == nullptr || domain != timed_domain_) {
    send_time_ = &relay().counts.send_latency(domain);
    timed_domain_ = std::move(domain);
  }
  send_time_->observe(spent);
  report(settled);
  if (remaining_.empty()) {
    job_.reset();
    if (session_->is_idle())
      become_ready();
    return; // else client_must_close follows
  }
  ++again_;
  if (same_host && session_->is_idle())
    begin_transaction();
  else if (same_host && remote_)
    addresses_.push_front(*remote_); // the same host, once this connection has closed
  if (!same_host && session_->is_idle())
    session_->quit(); // client_must_close follows, and with a job in hand that means the next host
}

void delivery::report(const std::vector<smtp::recipient_outcome>& outcomes) {
  if (outcomes.empty())
    return;
  attempt_outcome ended{job_->message->id, {}};
  auto remote = remote_text();
  // That the store cannot be read for a moment is no failure of the message.
  auto untried = std::exchange(untried_, false);
  for (auto& one : outcomes)
    if (untried && one.disposition == smtp::disposition::deferred && one.reply_code == 0)
      ended.outcomes.push_back(
          {static_cast<std::uint32_t>(one.recipient), queue::outcome_kind::returned, body_unreadable(), remote});
    else
      ended.outcomes.push_back({static_cast<std::uint32_t>(one.recipient),
                                kind_of(one.disposition),
                                {static_cast<std::uint16_t>(one.reply_code), one.status.text(), one.text},
                                remote,
                                {},
                                tells_success(one)});
  send(assignment_.spooler, std::move(ended));
}

/// RFC 3461 section 5.2.2: a server without DSN tells nobody, so we do; and RFC 2852 sections 4.1.4 and 4.1.4.2.
bool delivery::tells_success(const smtp::recipient_outcome& of) const {
  if (of.disposition != smtp::disposition::delivered || !session_)
    return false;
  auto& envelope = job_->message->envelope;
  auto& to = envelope.recipients[of.recipient];
  auto& there = session_->capabilities();
  if ((to.notify & queue::notify_success) != 0 && !there.dsn)
    return true;
  return envelope.deliver_by && to.notify != queue::notify_never && (envelope.deliver_by->trace || !there.deliver_by);
}

void delivery::on(const smtp::client_must_close& event) {
  send_output();
  if (job_) {
    drop_stream();
    if (!event.clean)
      note_cause(event.cause);
    next_address();
    return;
  }
  if (!announced_ready_ && !event.clean) {
    drop_stream();
    connection_failed(event.cause);
    return;
  }
  finish(delivery_status::kind::ended, event.cause);
}

void delivery::drop_stream() {
  session_.reset();
  timer_->cancel();
  if (stream_)
    stream_->close();
  stream_.reset(); // what is pending goes out within the linger time
}

void delivery::finish(delivery_status::kind what, const smtp::verdict& cause) {
  if (std::exchange(finished_, true))
    return;
  set_state("closed");
  send(assignment_.owner, delivery_status{what, assignment_.connection, cause, remote_text()});
  if (session_ && session_->is_idle()) {
    session_->quit();
    send_output();
  }
  drop_stream();
}

void delivery::on_release() {
  // Nothing comes after this from the destination.
  finish(delivery_status::kind::ended, {});
  quit();
}

void delivery::drain() {
  on_loop([this] {
    if (!job_)
      finish(delivery_status::kind::ended, {});
  });
}

void delivery::watch_time() {
  if (finished_ || !session_)
    return;
  if (auto limit = session_->current_timeout())
    timer_->start(*limit);
  else
    timer_->cancel();
}

void delivery::on_timeout() {
  if (!session_)
    return;
  if (std::exchange(handshaking_, false)) {
    session_->tls_failed("the TLS handshake took too long");
  } else {
    session_->timed_out();
  }
  advance();
}

} // namespace hedwig
