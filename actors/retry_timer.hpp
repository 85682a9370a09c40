// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "actors/messages.hpp"
#include "actors/observed_actor.hpp"

namespace hedwig {

/// Wakes what is due: asks the spooler for a window of due messages, passes them to the dispatcher and sleeps until the
/// next one. Holds one time, not the queue.
class retry_timer final : public observed_actor {
public:
  retry_timer(caf::actor_config& config, relay_context& context, const actor_place& place)
    : observed_actor{config, context, "retry-timer", place} {}

private:
  caf::behavior make_behavior() override;
  void on_exit() override { handles_.reset(); }
  void on_due(wall_time when);
  void on_claimed(claimed& found);
  void on_tick(std::uint64_t generation);
  void ask();
  void sleep_until(wall_time when);

  std::shared_ptr<const wiring> handles_;
  wall_time wake_at_ = wall_time::max(); ///< when the running sleep ends
  wall_time next_due_ = wall_time::max(); ///< heard of while an answer was awaited
  std::uint64_t generation_ = 0; ///< CAF's delayed messages cannot be cancelled: an old one is told by its number
  bool asking_ = false;
};

} // namespace hedwig
