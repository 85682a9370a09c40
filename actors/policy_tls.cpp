// SPDX-License-Identifier: Apache-2.0
// The certificates of listeners.
#include "actors/policy.hpp"

namespace hedwig {

namespace {

using client_certificate = net::tls_server_options::client_certificate;

net::tls_server_options tls_options_of(const config::tls_settings& tls) {
  net::tls_server_options options{.certificate_file = tls.cert_path, .key_file = tls.key_path};
  for (auto& one : tls.certificates)
    options.more.push_back({one.cert_path, one.key_path});
  options.client_ca_file = tls.client_ca;
  for (auto& one : tls.clients)
    if (!one.fingerprint.empty())
      options.client_fingerprints.insert(one.fingerprint);
  if (tls.require_client_certificate)
    options.client = client_certificate::require;
  else if (!tls.client_ca.empty() || !options.client_fingerprints.empty())
    options.client = client_certificate::request;
  options.handshakes_max = tls.max_handshakes;
  return options;
}

} // namespace

result<std::shared_ptr<const net::tls_context>> make_listener_tls(const config::server_settings& server,
                                                                  std::size_t listener, wall_time now,
                                                                  const net::tls_commons& commons) {
  auto options = tls_options_of(*server.listeners.at(listener).tls);
  options.commons = commons;
  options.ticket_lifetime = server.tls.ticket_rotation;
  return net::tls_context::make_server(options, now);
}

std::vector<std::string> tls_files_of(const config::tls_settings& tls) {
  std::vector<std::string> files{tls.cert_path, tls.key_path};
  for (auto& one : tls.certificates) {
    files.push_back(one.cert_path);
    files.push_back(one.key_path);
  }
  if (!tls.client_ca.empty())
    files.push_back(tls.client_ca);
  return files;
}

std::shared_ptr<const relay_policy> with_listener_tls(const relay_policy& from, std::size_t listener,
                                                      std::shared_ptr<const net::tls_context> fresh) {
  auto made = std::make_shared<relay_policy>(from);
  made->listeners.at(listener).tls = std::move(fresh);
  return made;
}

} // namespace hedwig
