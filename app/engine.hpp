// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "actors/admin_http.hpp"
#include "actors/context.hpp"
#include "actors/io_unit.hpp"
#include "actors/supervisor.hpp"
#include "app/certificate_watch.hpp"
#include "app/relay.hpp"
#include "runtime/dns/unbound_resolver.hpp"
#include "runtime/net/loop.hpp"

#include <caf/all.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

namespace hedwig::app {

/// The running parts of one relay, in the order in which they depend on each other.
class engine {
public:
  /// Starts providers, loops, actors and the console; an error says what could not be started. `events` are called on
  /// threads of the engine.
  [[nodiscard]] static result<std::unique_ptr<engine>> start(prepared from, supervisor_events events);
  /// Stops at once whatever still runs; in order when it was drained before.
  ~engine();

  void drain();
  /// New settings, keys and certificates. What needs a restart is named in the log and stays as it is; a file with
  /// errors changes nothing. Thread: the one that started it.
  void reload(const std::string& config_path);
  /// Certificates whose files have changed, or that run out. To be called every second or so. Thread: the same.
  void look_at_certificates();

  /// What the actors share; for tests, which count them and make them fail.
  [[nodiscard]] relay_context& context() noexcept { return *context_; }

private:
  explicit engine(prepared from);
  [[nodiscard]] result<void> open_loops();
  [[nodiscard]] result<void> open_resolver();
  void start_actors(supervisor_events events);
  void one_part_started();
  void refuse_reload(const std::vector<config::diagnostic>& errors);
  void stop_actors();

  std::atomic<int> parts_waiting_{2}; // the listeners and the console
  std::function<void()> ready_;
  std::shared_ptr<const relay_policy> policy_;
  config::loaded loaded_;
  std::unique_ptr<providers> providers_;
  std::optional<relay_context> context_;
  std::unique_ptr<dns::resolver> resolver_;
  std::vector<std::unique_ptr<net::loop>> loops_;
  caf::actor_system_config caf_config_;
  std::unique_ptr<caf::actor_system> system_;
  std::vector<std::unique_ptr<io_unit>> units_;
  std::vector<std::thread> threads_;
  caf::actor supervisor_;
  std::unique_ptr<admin_http> console_;
  std::optional<certificate_watch> certificates_;
};

} // namespace hedwig::app
