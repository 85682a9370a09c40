// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/base/clock.hpp"
#include "runtime/net/loop.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hedwig::sim {

class endpoint;
class sim_acceptor;
class sim_loop;

/// What goes wrong, as probabilities from 0 to 1. May be changed while the world runs.
struct network_faults {
  /// A connection attempt is refused although someone listens.
  double refused = 0;
  /// A connection attempt is never answered.
  double unanswered = 0;
  /// A connection ends before its time: by reset, by silence, or by the peer's FIN; at a byte drawn from `cut_within`,
  /// small numbers as likely as large ones.
  double cut = 0;
  std::uint64_t cut_within = 64 * 1024;
  /// A connection delivers a few bytes at a time, with up to `slow_gap` between them.
  double slow = 0;
  std::chrono::nanoseconds slow_gap = std::chrono::seconds{5};
  /// A TLS handshake fails at both ends.
  double tls_failed = 0;
  /// A finished handshake verified the server.
  double tls_verified = 1;
};

struct network_options {
  std::uint64_t seed = 1;
  network_faults faults;
  /// Bytes that may be under way in one direction; drawn for each connection, from 64 to this.
  std::size_t window_max = 64 * 1024;
  /// Keep trace() as text; the hash is there always.
  bool keep_trace = false;
};

/// Both clocks of a world; they move only when told.
class sim_clock final : public hedwig::clock {
public:
  [[nodiscard]] wall_time wall() const noexcept override {
    return wall_time{(steady_ - start).time_since_epoch() + wall_base_};
  }
  [[nodiscard]] steady_time steady() const noexcept override { return steady_; }
  /// Someone sets the wall clock; waits do not notice.
  void jump_wall(std::chrono::nanoseconds by) noexcept { wall_base_ += by; }

private:
  friend class sim_world;
  static constexpr std::chrono::nanoseconds start = std::chrono::hours{1};
  steady_time steady_{start};
  std::chrono::nanoseconds wall_base_ = std::chrono::seconds{1'767'225'600}; // 2026-01-01
};

/// Something that can take a step.
class entity {
public:
  entity() = default;
  entity(const entity&) = delete;
  entity& operator=(const entity&) = delete;
  virtual ~entity() = default;
  virtual void step() = 0;
  /// The loop whose thread the step runs on.
  [[nodiscard]] virtual sim_loop* on_loop() noexcept = 0;

private:
  friend class sim_world;
  static constexpr std::size_t not_ready = ~std::size_t{0};
  std::size_t ready_at_ = not_ready;
};

/// A network of loops under one clock, in one thread: every choice comes from the seed, so that a run can be repeated.
/// Outlives its loops. Nothing here is thread-safe.
class sim_world {
public:
  explicit sim_world(const network_options& options = {});
  sim_world(const sim_world&) = delete;
  sim_world& operator=(const sim_world&) = delete;
  ~sim_world();

  [[nodiscard]] sim_clock& clock() noexcept { return clock_; }
  [[nodiscard]] network_faults& faults() noexcept { return faults_; }
  [[nodiscard]] std::unique_ptr<net::loop> make_loop(const net::loop_options& options = {});

  /// One step that could happen now, chosen at random: bytes arrive, a connection is accepted or refused, a FIN, a
  /// reset, a timer that is due, a loop's client. False: nothing can happen before time goes on.
  bool run_once();
  /// How many steps could happen now; to weigh them against those of others.
  [[nodiscard]] std::size_t ready() const noexcept;
  /// When the next timer is due.
  [[nodiscard]] std::optional<steady_time> next_deadline() const noexcept;
  /// Moves the clock; earlier times are ignored. Timers that are due by then become steps.
  void advance_to(steady_time when) noexcept;
  void advance_by(std::chrono::nanoseconds by) noexcept { advance_to(clock_.steady() + by); }
  /// Moves the clock to the next timer; false when there is none.
  bool advance() noexcept;
  /// Steps until nothing can happen without time; false when `steps_max` were not enough.
  bool settle(std::size_t steps_max = 1'000'000);
  /// Steps and time until nothing is left to happen before `by` has passed.
  bool run_for(std::chrono::nanoseconds by, std::size_t steps_max = 1'000'000);

  /// Hears what is written to connections, by their near end's address, before it is under way. For judges of a run.
  std::function<void(const net::address& from, std::string_view written)> on_write;

  /// All connections break now, by reset.
  void reset_connections();
  /// Ends of connections that are not closed, those not yet accepted included.
  [[nodiscard]] std::size_t endpoints_open() const noexcept { return open_; }
  [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }
  [[nodiscard]] std::uint64_t cuts() const noexcept { return cuts_; }
  /// Equal for two runs that did the same.
  [[nodiscard]] std::uint64_t trace_hash() const noexcept { return trace_hash_; }
  [[nodiscard]] const std::string& trace() const noexcept { return trace_; }

  /// 0 to bound - 1.
  [[nodiscard]] std::uint64_t random(std::uint64_t bound) noexcept;
  [[nodiscard]] bool chance(double probability) noexcept;

private:
  friend class endpoint;
  friend class sim_acceptor;
  friend class sim_loop;
  friend class sim_timers;

  using timer_key = std::pair<steady_time, std::uint64_t>;
  struct timer_entry {
    net::timer* what;
    sim_loop* on;
  };

  void note(std::string_view what, std::uint64_t who, std::uint64_t amount);
  void set_ready(entity& which, bool ready);
  [[nodiscard]] bool timer_due() const noexcept;
  void fire_timer();
  endpoint& keep(std::unique_ptr<endpoint> made);
  void bury(endpoint& which);
  [[nodiscard]] sim_acceptor* find_listener(const net::address& at) const;
  [[nodiscard]] std::uint16_t free_port() noexcept { return next_port_ == 65535 ? next_port_ = 32768 : ++next_port_; }

  sim_clock clock_;
  network_faults faults_;
  std::size_t window_max_;
  bool keep_trace_;
  std::uint64_t random_state_;
  std::uint64_t steps_ = 0;
  std::uint64_t cuts_ = 0;
  std::uint64_t trace_hash_ = 0xcbf29ce484222325;
  std::uint64_t next_id_ = 0;
  std::uint64_t next_timer_ = 0;
  std::uint16_t next_port_ = 32768;
  std::size_t open_ = 0;
  sim_loop* current_ = nullptr;
  std::string trace_;
  std::vector<entity*> ready_;
  std::map<timer_key, timer_entry> timers_;
  std::map<net::address, sim_acceptor*> listeners_;
  std::vector<std::unique_ptr<endpoint>> endpoints_;
  std::vector<std::unique_ptr<endpoint>> graveyard_;
};

} // namespace hedwig::sim
