// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "actors/client_policy.hpp"
#include "runtime/base/error.hpp"
#include "runtime/config/settings.hpp"
#include "runtime/dkim/signer.hpp"
#include "runtime/net/tls.hpp"
#include "runtime/queue/retry_schedule.hpp"
#include "runtime/queue/route.hpp"
#include "runtime/smtp/server_session.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace hedwig {

/// The rules of one listener, made from its settings.
struct listener_policy {
  std::shared_ptr<const client_rules> known_clients; ///< those in relay_from, where no policy of the settings fits
  std::shared_ptr<const client_rules> other_clients;
  std::shared_ptr<const net::tls_context> tls; ///< null: no certificate
};

/// The settings in force and what was made of them once: keys loaded, routes indexed, certificates read. Immutable and
/// shared; SIGHUP makes a new one.
struct relay_policy {
  config::settings settings;
  queue::route_table routes;
  queue::retry_policy retry;
  dkim::signer signer;
  std::vector<listener_policy> listeners;                      ///< in the order of settings.server.listeners
  std::shared_ptr<const net::tls_context> client_tls;          ///< encrypts with whoever answers
  std::shared_ptr<const net::tls_context> client_tls_verified; ///< and checks the name
  bool allow_private_mx = false;      ///< of hosts found by MX; true in a lab even where the settings do not say so
  std::vector<std::string> own_names; ///< host names that are us, lower case

  /// Bytes of one part of a body on its way into the store or out of it.
  [[nodiscard]] std::uint64_t body_part() const noexcept { return std::min(body_part_max, settings.queue.stage_above); }
  static constexpr std::uint64_t body_part_max = 256 * 1024;
};

/// A complaint, with the key that it is about as a path of keys and indexes: "server.dkim[1].private_key".
struct policy_fault {
  std::string key;
  std::string text;
};

/// Everything that can be wrong beyond the configuration file: keys and certificates that do not load.
struct policy_report {
  std::vector<policy_fault> errors;
  std::vector<policy_fault> warnings;
};

/// Null, with errors in the report, where something does not load. Blocking: reads files.
[[nodiscard]] std::shared_ptr<const relay_policy>
make_policy(config::settings settings, wall_time now, policy_report& report, const net::tls_commons& commons = {});

/// Certificates, keys and authorities of one listener, read from its files. Blocking.
[[nodiscard]] result<std::shared_ptr<const net::tls_context>> make_listener_tls(const config::server_settings& server,
                                                                                std::size_t listener, wall_time now,
                                                                                const net::tls_commons& commons);
/// The files that make_listener_tls() reads.
[[nodiscard]] std::vector<std::string> tls_files_of(const config::tls_settings& tls);
/// The same policy but for the certificates of one listener.
[[nodiscard]] std::shared_ptr<const relay_policy> with_listener_tls(const relay_policy& from, std::size_t listener,
                                                                    std::shared_ptr<const net::tls_context> fresh);

} // namespace hedwig
