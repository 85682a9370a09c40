// SPDX-License-Identifier: Apache-2.0
// Who the client of a session is: the peer itself, or whom a proxy in front of us names.
#include "actors/session.hpp"

#include "actors/mailbox_sink.hpp"
#include "runtime/net/proxy_header.hpp"
#include "runtime/telemetry/log.hpp"

namespace hedwig {

using telemetry::component;
using telemetry::level;

bool session::comes_through_proxy() const { return config::contains(listener_settings().proxy_from, client_.octets()); }

void session::meet_client(bool spoke_early, bool behind_header) {
  peer_may_relay_ = !anonymous_ && config::contains(listener_settings().relay_from, client_.octets());
  if (!admission_.rules && !admit())
    return;
  may_xclient_ = !anonymous_ && config::contains(listener_settings().xclient_from, client_.octets());
  update_standing();
  clock_.begin(admission_.rules->times, loop().now());
  if (!listener_settings().begins_with_tls())
    return greet_in_time(spoke_early);
  set_state("handshake");
  begin_handshake(behind_header);
}

std::size_t session::read_proxy_header(std::string_view data) {
  auto found = net::parse_proxy_header(data);
  if (!found) {
    refuse_proxy(found.error());
    return data.size();
  }
  if (!*found)
    return 0; // the stream keeps it
  auto& header = **found;
  awaiting_proxy_ = false;
  timer_->cancel();
  anonymous_ = header.from == net::proxy_header::origin::unknown;
  if (header.from == net::proxy_header::origin::client) {
    client_ = header.source;
    relay().actors.rename(node(), client_.text());
  }
  telemetry::log(level::debug, component::session, {"session.proxied", "a proxy has said whose connection it is"},
                 {{"peer", node().label}, {"proxy", stream_->peer().text()}, {"version", header.version}});
  meet_client(data.size() > header.size, true);
  if (!closing_)
    stream_->resume_reading(); // what came behind the header
  return header.size;
}

void session::refuse_proxy(std::string_view why) {
  awaiting_proxy_ = false;
  closing_ = true;
  relay().counts.connections_refused(listener_settings().name, "proxy").add();
  telemetry::log(level::warn, component::session,
                 {"session.proxy-failed", "no PROXY header where one is expected; the connection is dropped"},
                 {{"peer", node().label}, {"listener", listener_settings().name}, {"error", why}});
  stream_->abort();
}

bool session::admit() {
  admission_ = admit_client(relay(), *policy_, listener_, client_, peer_may_relay_);
  if (admission_.refused == nullptr)
    return true;
  relay().count_refusal(*admission_.refused);
  if (!listener_settings().begins_with_tls())
    stream_->write(smtp::to_wire(*admission_.refused));
  close();
  return false;
}

void session::update_standing() {
  auto is_stranger = !peer_may_relay_ && user_.empty() && !closing_;
  if (!is_stranger) {
    if (std::exchange(listed_as_, listed_as::known) != listed_as::known)
      relay().strangers.remove(standing_);
    return;
  }
  if (listed_as_ == listed_as::known) {
    standing_.who = address();
    relay().strangers.add(standing_);
    listed_as_ = listed_as::stranger;
  }
  auto mistakes = protocol_ ? protocol_->counters().bad_commands + protocol_->counters().auth_failures : 0;
  if (listed_as_ == listed_as::stranger && mistakes > 0) {
    relay().strangers.worsen(standing_);
    listed_as_ = listed_as::bad;
  }
}

void session::on_give_way() {
  // A message that the store may have already must get its answer.
  if (closing_ || committing_ || in_hand_ || !user_.empty()) {
    listed_as_ = listed_as::known; // it has been taken off the list, and may come back
    return;
  }
  relay().counts.shed(listener_settings().name).add();
  if (auto times = relay().shed_said.happened(relay().time.steady()))
    telemetry::log(level::warn, component::session,
                   {"session.shed", "sessions of strangers are ended to make room; said once in ten seconds at most"},
                   {{"peer", node().label}, {"listener", listener_settings().name}, {"times", times}});
  if (!protocol_) {
    closing_ = true;
    stream_->abort();
    return;
  }
  protocol_->make_room();
  answer_questions();
}

smtp::connection_facts session::client_facts() const {
  smtp::connection_facts facts{.peer_ip = client_.ip_text(),
                               .peer_port = client_.port(),
                               .peer_name = {},
                               .tls = {},
                               .can = abilities(),
                               .refusals = &relay().refusals,
                               .may_xclient = may_xclient_,
                               .may_xclient_login = may_xclient_ && listener_settings().xclient_login};
  if (auto* info = stream_->tls())
    facts.tls = tls_facts_of(*info);
  return facts;
}

void session::open_filters() {
  if (!relay().plugins.filters.empty())
    filters_.open(relay().plugins, filter_view(), std::make_shared<mailbox_sink>(caf::actor_cast<caf::actor>(this)),
                  relay().counts);
}

bool session::answer(smtp::ask::xclient& question) {
  auto who = std::move(question.who);
  spoken_for_ = true;
  log_out();
  relay().clients.leave(std::exchange(admission_.counted, {}));
  if (who.addr) {
    auto named = who.addr->known ? net::address::parse_ip(who.addr->text) : std::unexpected{error{}};
    anonymous_ = !named;
    client_ = (named ? *named : stream_->peer()).with_port(0);
  }
  if (who.port)
    client_ = client_.with_port(*who.port);
  telemetry::log(
      level::debug, component::session, {"session.xclient", "a front end has said for whom it speaks"},
      {{"peer", client_.text()}, {"front_end", stream_->peer().text()}, {"user", who.login ? who.login->text : ""}});
  relay().actors.rename(node(), client_.text());
  peer_may_relay_ = !anonymous_ && config::contains(listener_settings().relay_from, client_.octets());
  admission_ = admit_client(relay(), *policy_, listener_, client_, peer_may_relay_);
  if (admission_.refused != nullptr) {
    protocol_->refuse_and_end(*admission_.refused);
    return true;
  }
  clock_.greeted(loop().now());
  auto facts = client_facts();
  if (who.name)
    facts.peer_name = who.name->text;
  auto login = who.login ? who.login->text : std::string{};
  if (!login.empty() && !enter_as(login)) {
    protocol_->refuse_and_end(smtp::replies::user_connections);
    return true;
  }
  protocol_->client_changed(admission_.rules->protocol, std::move(facts), login,
                            who.helo ? who.helo->text : std::string{}, who.extended.value_or(true));
  filters_ = {};
  open_filters();
  return true;
}

bool session::enter_as(const std::string& login) {
  if (!relay().users.enter(login, {}))
    return false;
  user_ = login;
  if (enter_as_user())
    return true;
  log_out();
  return false;
}

bool session::enter_as_user() {
  auto& may = admission_.rules->of(smtp::counted_by::user);
  if (!smtp::limits_connections(may) && !smtp::limits_mail(may))
    return true;
  std::vector<smtp::counted> entering;
  entering.push_back({smtp::counted_by::user, smtp::client_limits::key_of_name(smtp::counted_by::user, user_), may});
  if (limited_by(relay().clients.enter(entering, relay().time.steady())) != nullptr)
    return false;
  user_counted_ = std::move(entering);
  return true;
}

void session::count_for(const mail::address& reverse_path) {
  mail_counted_ = user_.empty() ? admission_.counted : user_counted_;
  if (policy_->settings.server.policies.empty() || reverse_path.empty())
    return;
  auto domain = reverse_path.domain_key();
  auto may = sender_domain_limits(*policy_, listener_, client_, domain);
  if (smtp::limits_mail(may))
    mail_counted_.push_back({smtp::counted_by::sender_domain,
                             smtp::client_limits::key_of_name(smtp::counted_by::sender_domain, domain), may});
}

const smtp::standard_reply* session::limited_by(const std::optional<smtp::client_limits::refusal>& found) {
  if (!found)
    return nullptr;
  report_client_limit(relay(), listener_settings().name, node().label, *found);
  return &client_limit_reply(found->what);
}

const smtp::standard_reply* session::look_at_client(std::size_t recipients) {
  if (mail_counted_.empty())
    return nullptr;
  auto* limit = limited_by(relay().clients.look(mail_counted_, recipients, relay().time.steady()));
  if (limit != nullptr)
    relay().counts.refused("client").add();
  return limit;
}

const smtp::standard_reply* session::take_for_client(std::size_t recipients) {
  if (mail_counted_.empty())
    return nullptr;
  auto* limit = limited_by(relay().clients.take(mail_counted_, recipients, relay().time.steady()));
  if (limit != nullptr)
    relay().counts.refused("client").add();
  return limit;
}

} // namespace hedwig
