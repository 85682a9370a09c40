// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tests/sim/network/sim_world.hpp"

#include <deque>

namespace hedwig::sim {

/// Timers of one loop, in the world's list.
class sim_timers final : public net::timer_queue {
public:
  sim_timers(sim_world& world, sim_loop& on) noexcept : world_{world}, on_{on} {}
  [[nodiscard]] steady_time now() const noexcept override { return world_.clock().steady(); }
  void arm(net::timer& what, steady_time deadline) noexcept override;
  void disarm(net::timer& what) noexcept override;
  void fire_now(net::timer& what) { fire(what); }

private:
  sim_world& world_;
  sim_loop& on_;
};

class sim_loop final : public net::loop, public entity {
public:
  sim_loop(sim_world& world, const net::loop_options& options);
  ~sim_loop() override;

  [[nodiscard]] hedwig::clock& clock() const noexcept override { return world_.clock(); }
  [[nodiscard]] steady_time now() const noexcept override { return timers_.now(); }
  [[nodiscard]] net::timer_queue& timers() noexcept override { return timers_; }
  [[nodiscard]] const net::loop_counters& counters() const noexcept override { return counters_; }
  void set_client(net::loop_client* client) override;
  void wake() noexcept override;
  void post(std::move_only_function<void()> what) override;
  void defer(std::move_only_function<void()> what) override;
  void run() override;
  /// One step of the whole world; moves the clock up to `wait` when nothing can happen now.
  bool run_once(std::chrono::milliseconds wait) override;
  void stop() noexcept override { stop_ = true; }
  /// While a step of this loop runs.
  [[nodiscard]] bool in_loop_thread() const noexcept override { return world_.current_ == this; }
  [[nodiscard]] result<std::unique_ptr<net::acceptor>>
  listen(const net::address& at, const net::listen_options& options, net::acceptor_handler& handler) override;
  [[nodiscard]] result<std::unique_ptr<net::acceptor>> adopt_listener(int fd, const net::listen_options& options,
                                                                      net::acceptor_handler& handler) override;
  [[nodiscard]] result<std::unique_ptr<net::stream>> connect(const net::address& to,
                                                             const std::optional<net::address>& source,
                                                             net::stream_handler& handler,
                                                             const net::connect_options& options) override;
  [[nodiscard]] std::unique_ptr<net::stream> adopt(std::unique_ptr<net::connection> accepted,
                                                   net::stream_handler& handler) override;

  void step() override;
  [[nodiscard]] sim_loop* on_loop() noexcept override { return this; }
  /// The end of an iteration.
  void after_step();

  [[nodiscard]] const net::stream_limits& limits() const noexcept { return options_.limits; }
  [[nodiscard]] net::loop_counters& counts() noexcept { return counters_; }
  [[nodiscard]] sim_timers& own_timers() noexcept { return timers_; }

private:
  sim_world& world_;
  net::loop_options options_;
  net::loop_counters counters_;
  sim_timers timers_;
  net::loop_client* client_ = nullptr;
  bool stop_ = false;
  bool stepped_ = false; // the current step is the loop's own
  std::vector<std::move_only_function<void()>> posted_;
  std::vector<std::move_only_function<void()>> deferred_;
};

/// A listening address. Its backlog is endless.
class sim_acceptor final : public net::acceptor, public entity {
public:
  sim_acceptor(sim_world& world, sim_loop& on, const net::address& at, net::acceptor_handler& handler);
  ~sim_acceptor() override;
  void pause() override;
  void resume() override;
  [[nodiscard]] bool paused() const noexcept override { return paused_; }
  [[nodiscard]] const net::address& local() const noexcept override { return local_; }
  void step() override;
  [[nodiscard]] sim_loop* on_loop() noexcept override { return on_; }
  void enqueue(endpoint& fresh);
  void withdraw(endpoint& gone);
  /// The loop goes away.
  void forget_loop() noexcept;

private:
  void update();
  sim_world& world_;
  sim_loop* on_;
  net::address local_;
  net::acceptor_handler& handler_;
  std::deque<endpoint*> backlog_;
  bool paused_ = false;
};

} // namespace hedwig::sim
