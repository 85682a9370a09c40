// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/net/loop.hpp"

#include <caf/execution_unit.hpp>
#include <caf/resumable.hpp>

#include <functional>
#include <mutex>
#include <vector>

namespace hedwig {

class pinned_actor;

/// Joins an I/O loop and CAF: actors pinned to it run their messages on the loop's thread, between two socket events.
/// Made before the loop runs and destroyed after it has stopped; owned by whoever owns the loop.
class io_unit final : public caf::execution_unit, public net::loop_client {
public:
  io_unit(caf::actor_system& system, net::loop& loop);
  ~io_unit() override;

  /// Takes over one reference of `job`. Any thread.
  void exec_later(caf::resumable* job) override;
  /// Runs what waits; true while more does. Loop thread only.
  bool run_ready() override;

  [[nodiscard]] net::loop& loop() noexcept { return loop_; }

  /// Holds one reference of the actor until detach(), and a little longer: events of the same batch may still name it.
  /// Loop thread only.
  void attach(pinned_actor& actor);
  void detach(pinned_actor& actor);
  /// Actors attached now. Loop thread only.
  [[nodiscard]] const std::vector<pinned_actor*>& actors() const noexcept { return attached_; }

  /// Ends every actor of this unit. Loop thread only.
  void end_all();

  /// Runs `task` on the loop thread soon. Any thread.
  void post(std::function<void()> task);

private:
  void run(caf::resumable& job);
  void bury();

  net::loop& loop_;
  std::mutex mutex_;
  std::vector<caf::resumable*> remote_;
  std::vector<std::function<void()>> tasks_;
  std::vector<caf::resumable*> local_;
  std::vector<caf::resumable*> batch_;
  std::vector<pinned_actor*> attached_;
  std::vector<pinned_actor*> graveyard_;
};

} // namespace hedwig
