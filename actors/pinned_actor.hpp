// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "actors/io_unit.hpp"
#include "actors/observed_actor.hpp"

#include <utility>

namespace hedwig {

class session;

/// An ordinary actor whose messages are handled on the thread of one I/O loop, where the callbacks of its stream run
/// too: no lock, no hop between its bytes and its logic. The unit keeps it alive until it ends.
class pinned_actor : public observed_actor {
public:
  pinned_actor(caf::actor_config& config, relay_context& context, io_unit& unit, const char* role,
               const actor_place& place)
    : observed_actor{config, context, role, place}, unit_{unit} {}

  void enqueue(caf::mailbox_element_ptr element, caf::execution_unit*) final {
    observed_actor::enqueue(std::move(element), &unit_);
  }
  void launch(caf::execution_unit*, bool lazy, bool hide) final { event_based_actor::launch(&unit_, lazy, hide); }
  void on_exit() final;

  /// The relay stops: finish what is under way, begin nothing new. Loop thread.
  virtual void drain() {}
  /// This, if it is a session; else null. For the console, which looks at a loop's sessions.
  [[nodiscard]] virtual session* as_session() noexcept { return nullptr; }

protected:
  caf::behavior make_behavior() final;
  /// The first step on the loop's thread; what make_behavior() is elsewhere.
  virtual caf::behavior begin() = 0;
  /// The last step on the loop's thread: let go of streams, timers and counters.
  virtual void end() {}

  /// Ends this actor from a callback of the loop, where CAF's quit() would not be seen.
  void end_soon();
  [[nodiscard]] net::loop& loop() noexcept { return unit_.loop(); }
  [[nodiscard]] io_unit& unit() noexcept { return unit_; }

  /// Runs a callback of the loop as CAF runs a handler: its time is counted, and an exception ends this actor alone.
  template <class Step>
  void on_loop(Step step) noexcept {
    auto begin = std::chrono::steady_clock::now();
    try {
      step();
    } catch (...) {
      report_current_exception();
      end_soon();
    }
    auto spent = std::chrono::steady_clock::now() - begin;
    node().busy_nanoseconds.fetch_add(static_cast<std::uint64_t>(spent.count()), std::memory_order_relaxed);
  }

private:
  friend class io_unit;
  io_unit& unit_;
  std::size_t unit_index_ = 0;
  bool attached_ = false;
  bool ending_ = false;
};

/// Spawns an actor pinned to `unit`. Any thread.
template <class Actor, class... Args>
caf::actor spawn_pinned(caf::actor_system& system, io_unit& unit, relay_context& context, const actor_place& place,
                        Args&&... args) {
  caf::actor_config config{&unit};
  return system.spawn_class<Actor, caf::no_spawn_options>(config, context, unit, place, std::forward<Args>(args)...);
}

} // namespace hedwig
