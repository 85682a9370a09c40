// SPDX-License-Identifier: Apache-2.0
#include "actors/listener.hpp"

#include "actors/session.hpp"
#include "runtime/smtp/reply.hpp"
#include "runtime/telemetry/log.hpp"

#include <cerrno>

namespace hedwig {

using telemetry::component;
using telemetry::level;

listener::listener(caf::actor_config& config, relay_context& context, io_unit& unit, const actor_place& place,
                   listener_place where)
  : pinned_actor{config, context, unit, "listener", place}, place_{std::move(where)} {}

caf::behavior listener::begin() {
  open();
  return {[this](const rewire& fresh) { place_.handles = fresh.handles; }};
}

namespace {

const char* advice_for(int os_errno) noexcept {
  switch (os_errno) {
  case EADDRINUSE:
    return "something listens there already: see who with ss -ltnp, and stop it or write another port";
  case EACCES:
  case EPERM:
    return "ports below 1024 need CAP_NET_BIND_SERVICE or a socket of systemd: see docs/operations.md";
  case EADDRNOTAVAIL:
    return "no interface of this machine has the address: write one that ip address shows, or 0.0.0.0";
  default:
    return "check server.listeners.addr";
  }
}

} // namespace

void listener::open() {
  auto policy = relay().policy();
  auto& settings = policy->settings.server.listeners.at(place_.index);
  name_ = settings.name;
  accepted_ = &relay().counts.connections_accepted(name_);
  connections_ = &relay().counts.connections(name_);
  auto at = net::address::parse_ip(settings.addr.host, settings.addr.port);
  auto opened = !at                ? result<std::unique_ptr<net::acceptor>>{std::unexpected{at.error()}}
                : place_.inherited ? loop().adopt_listener(*place_.inherited, {}, *this)
                                   : loop().listen(*at, {}, *this);
  if (!opened) {
    telemetry::log(
        level::error, component::listener, {"listener.failed", "cannot listen"},
        {{"listener", name_}, {"error", opened.error().text()}, {"advice", advice_for(opened.error().os_errno)}});
    throw std::runtime_error{opened.error().text()};
  }
  acceptor_ = std::move(*opened);
  set_state("listening");
  telemetry::log(level::info, component::listener, {"listener.open", "listening"},
                 {{"listener", name_}, {"address", acceptor_->local().text()}});
  send(place_.owner, listener_open{place_.index});
}

void listener::on_connection(std::unique_ptr<net::connection> accepted) {
  on_loop([&] { admit(std::move(accepted)); });
}

void listener::admit(std::unique_ptr<net::connection> accepted) {
  auto policy = relay().policy();
  accepted_->add();
  auto& settings = policy->settings.server.listeners.at(place_.index);
  auto& peer = accepted->peer();
  auto is_proxy = config::contains(settings.proxy_from, peer.octets());
  auto is_known = is_proxy || config::contains(settings.relay_from, peer.octets());
  if (!has_room(policy->settings.server.max_connections, is_known)) {
    relay().counts.connections_refused(name_, "max_connections").add();
    return refuse(*accepted, smtp::replies::too_many_connections);
  }
  if (!is_proxy && !settings.proxy_from.empty() && settings.proxy_others == config::direct_clients::refuse) {
    relay().counts.connections_refused(name_, "not_a_proxy").add();
    return refuse(*accepted, smtp::replies::proxies_only);
  }
  client_admission admission;
  if (!is_proxy) // whose client comes to be known later
    admission = admit_client(relay(), *policy, place_.index, peer, is_known);
  if (admission.refused != nullptr)
    return refuse(*accepted, *admission.refused);
  relay().sessions_open.fetch_add(1, std::memory_order_relaxed);
  connections_->add();
  auto label = peer.text();
  session_arrival arrival{.connection = std::move(accepted),
                          .policy = policy,
                          .listener = place_.index,
                          .handles = place_.handles,
                          .admission = std::move(admission),
                          .connections = connections_};
  spawn_pinned<session>(system(), relay().next_unit(), relay(), child(std::move(label)), std::move(arrival));
}

/// At the limit a stranger has to go for a client that is known, and one who made mistakes for anybody. The room he
/// takes until he is gone is lent, up to a tenth more.
bool listener::has_room(std::uint32_t most, bool is_known) {
  auto open = relay().sessions_open.load(std::memory_order_relaxed);
  if (open < most)
    return true;
  relay().counts.limit_hit("server.max_connections").add();
  if (open - most > most / 10)
    return false;
  auto victim = relay().strangers.take(!is_known);
  if (!victim)
    return false;
  send(victim, give_way{});
  return true;
}

void listener::refuse(net::connection& accepted, const smtp::standard_reply& why) {
  relay().count_refusal(why);
  auto& settings = relay().policy()->settings.server.listeners.at(place_.index);
  // A client that expects TLS would take clear text for a broken handshake.
  accepted.refuse(settings.begins_with_tls() ? std::string{} : smtp::to_wire(why));
}

void listener::on_exhausted(const error& why) {
  relay().counts.connections_refused(name_, "descriptors").add();
  telemetry::log(level::warn, component::listener,
                 {"listener.exhausted", "no descriptor or memory for a connection; accepting rests for a moment: raise "
                                        "LimitNOFILE or lower server.max_connections"},
                 {{"listener", name_}, {"error", why.text()}});
}

void listener::drain() {
  set_state("closed");
  acceptor_.reset();
}

void listener::end() {
  acceptor_.reset();
  place_ = {};
}

} // namespace hedwig
