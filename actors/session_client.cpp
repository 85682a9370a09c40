// SPDX-License-Identifier: Apache-2.0
// Who the client of a session is: the peer itself, or whom a proxy in front of us names.
#include "actors/session.hpp"

#include "runtime/net/proxy_header.hpp"
#include "runtime/telemetry/log.hpp"

namespace hedwig {

using telemetry::component;
using telemetry::level;

bool session::comes_through_proxy() const { return config::contains(listener_settings().proxy_from, client_.octets()); }

void session::meet_client(bool spoke_early, bool behind_header) {
  peer_may_relay_ = !anonymous_ && config::contains(listener_settings().relay_from, client_.octets());
  auto& tls = policy_->listeners[listener_].tls;
  if (!tls || listener_settings().tls->mode != config::listener_tls::implicit)
    return greet_in_time(spoke_early);
  set_state("handshake");
  timer_->start(policy_->settings.server.cmd_timeout);
  handshaking_ = true;
  if (behind_header)
    stream_->start_tls_behind(tls);
  else
    stream_->start_tls(tls, net::tls_role::server);
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

} // namespace hedwig
