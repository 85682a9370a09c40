// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "actors/context.hpp"
#include "actors/io_unit.hpp"
#include "runtime/plugin/host.hpp"
#include "runtime/plugin/instance.hpp"
#include "tests/sim/network/sim_world.hpp"
#include "tests/sim/relay_sim_dns.hpp"
#include "tests/sim/relay_sim_oracle.hpp"
#include "tests/sim/relay_sim_peers.hpp"
#include "tests/sim/relay_sim_store.hpp"

#include <caf/all.hpp>
#include <caf/scheduler/test_coordinator.hpp>

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hedwig::sim {

/// One life of the relay: the real actors over the simulated network, DNS, store and clock, in the calling thread.
class sim_relay {
public:
  sim_relay(sim_world& world, sim_dns& dns, sim_store& store, std::shared_ptr<const relay_policy> policy);
  /// Ends whatever still runs, as a crash does.
  ~sim_relay();

  /// Jobs of the scheduler that could run now.
  [[nodiscard]] std::size_t jobs() const { return scheduler().jobs.size(); }
  /// Runs one of them for one message.
  void run_job();
  /// Runs what the plugin host has to do.
  void run_host() { host_->run_due(); }
  /// The clock moved on by `by`.
  void advance(std::chrono::nanoseconds by);
  /// When the next delayed message of an actor is due; absent when there is none.
  [[nodiscard]] std::optional<steady_time> next_deadline() const;
  /// An actor dies by an exception, if one with this name has a job now, or is pinned to a loop.
  void kill(std::string_view role);

  [[nodiscard]] relay_context& context() noexcept { return *context_; }
  [[nodiscard]] const std::string& failure() const noexcept { return failure_; }
  /// Nothing is in anybody's hands.
  [[nodiscard]] bool idle() const;
  /// Ends all actors at once; false when some would not end.
  [[nodiscard]] bool end_actors();

private:
  [[nodiscard]] caf::scheduler::test_coordinator& scheduler() const;
  void open_store(sim_store& store);

  sim_world& world_;
  sim_store& store_;
  sim_dns& dns_;
  std::shared_ptr<plugin::host> host_;
  std::shared_ptr<plugin::instance> instance_;
  std::optional<relay_context> context_;
  caf::actor_system_config caf_config_;
  std::vector<std::unique_ptr<net::loop>> loops_;
  std::unique_ptr<caf::actor_system> system_;
  std::vector<std::unique_ptr<io_unit>> units_;
  caf::actor supervisor_;
  std::string failure_;
};

/// Everything drawn once for a run.
struct sim_plan {
  network_faults network;
  store_faults store;
  server_faults servers;
  double dns_failing = 0;
  double crash = 0; ///< of each step
  double kill = 0;
  double jump = 0;      ///< hours or days pass at once
  double set_clock = 0; ///< someone sets the wall clock, back or forward by up to two days
  double hurry = 0;     ///< time goes on although something could still happen now
  std::size_t clients = 1;
  std::size_t steps = 4000; ///< then the faults stop
  std::size_t policy = 0;
};

/// What a run is to do beside its seed.
struct sim_options {
  std::uint64_t seed = 1;
  bool trace = false;
  store_lie lie = store_lie::none; ///< for self-checks
  bool server_repeats = false;     ///< likewise
};

/// What became of a run.
struct sim_outcome {
  std::vector<std::string> failures;
  oracle::totals totals;
  std::uint64_t steps = 0;
  std::uint64_t crashes = 0;
  std::uint64_t kills = 0;
  std::uint64_t cuts = 0;
  std::uint64_t store_failures = 0;
  std::uint64_t staged = 0;     ///< messages that went into the store in parts
  std::uint64_t parts_read = 0; ///< of bodies
  std::chrono::nanoseconds virtual_time{};
  std::uint64_t trace_hash = 0;
};

/// One run from one seed: clients, faults, then quiet until all mail has come to its end, then the judgement.
class relay_sim {
public:
  explicit relay_sim(const sim_options& options);
  [[nodiscard]] sim_outcome run();

private:
  void draw_plan();
  void build_internet();
  void start_relay();
  void crash();
  void step();
  void take_step();
  void pass_time(bool days);
  void set_clock();
  void advance_to(steady_time when);
  void perhaps_fault();
  void perhaps_client();
  [[nodiscard]] sim_client::script draw_script();
  [[nodiscard]] client_message draw_message();
  [[nodiscard]] std::string draw_text(const std::string& key);
  void sweep();
  void heal();
  void drain();
  [[nodiscard]] bool drained() const;
  void judge();
  void trace(std::string_view what);
  [[nodiscard]] std::uint64_t random(std::uint64_t bound) { return world_.random(bound); }
  [[nodiscard]] bool chance(double probability) { return world_.chance(probability); }

  sim_options options_;
  sim_world world_;
  oracle oracle_;
  sim_store store_;
  sim_dns dns_;
  sim_plan plan_;
  std::unique_ptr<net::loop> outside_;
  std::unique_ptr<server_site> servers_;
  std::list<std::unique_ptr<sim_client>> clients_;
  std::vector<std::string> domains_;
  std::optional<onward_clock> due_clock_; ///< of the running relay: by it falls due what waits
  std::unique_ptr<sim_relay> relay_;
  std::size_t clients_started_ = 0;
  std::size_t messages_made_ = 0;
  std::uint64_t steps_ = 0;
  std::uint64_t crashes_ = 0;
  std::uint64_t kills_ = 0;
};

} // namespace hedwig::sim
