// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

namespace hedwig::net {

struct handshake_limits {
  std::size_t running = 0; ///< handshakes of the process at one time; 0: without limit
  std::size_t waiting = 0; ///< that wait for their turn; 0: none may
};

/// How many TLS handshakes may be under way, over all loops and in each lane (a listener has one). Who comes while that
/// many are waits, first come first served; a lane at its own limit holds up nobody else. Any thread.
class handshake_gate {
public:
  class lane;
  /// A handshake's place, running or waiting. Its end gives the place to the next.
  class pass {
  public:
    ~pass();
    pass(const pass&) = delete;
    pass& operator=(const pass&) = delete;
    [[nodiscard]] bool running() const noexcept { return running_.load(std::memory_order_acquire); }

  private:
    friend class handshake_gate;
    pass(std::shared_ptr<lane> in, std::move_only_function<void()> turn)
      : lane_{std::move(in)}, turn_{std::move(turn)} {}
    std::shared_ptr<lane> lane_;
    std::move_only_function<void()> turn_;
    std::atomic<bool> running_{false};
    std::list<pass*>::iterator place_{};
  };

  class lane {
  public:
    /// `running_max` 0: only the limit of all.
    lane(std::shared_ptr<handshake_gate> gate, std::size_t running_max)
      : gate_{std::move(gate)}, running_max_{running_max} {}
    /// Null: too many wait. `turn` is called once when a pass that had to wait may run, by whatever thread ended
    /// another handshake and perhaps after the pass has gone: it posts something to its own thread and does nothing
    /// else.
    [[nodiscard]] static std::unique_ptr<pass> enter(std::shared_ptr<lane> in, std::move_only_function<void()> turn);

  private:
    friend class handshake_gate;
    std::shared_ptr<handshake_gate> gate_;
    std::size_t running_max_;
    std::size_t running_ = 0; // guarded by the gate's mutex
  };

  explicit handshake_gate(const handshake_limits& limits) : limits_{limits} {}

  void set_limits(const handshake_limits& limits);

  [[nodiscard]] std::size_t running() const;
  [[nodiscard]] std::size_t waiting() const;
  /// That had to wait, and that were turned away, since the start.
  [[nodiscard]] std::uint64_t delayed() const noexcept { return delayed_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t refused() const noexcept { return refused_.load(std::memory_order_relaxed); }

private:
  [[nodiscard]] bool has_room(const lane& in) const noexcept;
  using turns = std::vector<std::move_only_function<void()>>;
  void leave(pass& which);
  [[nodiscard]] turns call_next();

  mutable std::mutex mutex_;
  handshake_limits limits_;
  std::size_t running_ = 0;
  std::list<pass*> waiting_;
  std::atomic<std::uint64_t> delayed_{0};
  std::atomic<std::uint64_t> refused_{0};
};

} // namespace hedwig::net
