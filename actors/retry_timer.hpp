// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "actors/messages.hpp"
#include "actors/observed_actor.hpp"

#include <set>

namespace hedwig {

/// Wakes what is due: asks the spooler to claim due messages and give them out, and sleeps until the next one. Holds
/// the due times of a window, not the queue: what does not fit is found by looking in the store now and then.
class retry_timer final : public observed_actor {
public:
  retry_timer(caf::actor_config& config, relay_context& context, const actor_place& place)
    : observed_actor{config, context, "retry-timer", place} {}

private:
  caf::behavior make_behavior() override;
  void on_exit() override { handles_.reset(); }
  void on_due(wall_time when);
  void on_claimed(const claimed& found);
  void on_tick(std::uint64_t generation);
  void ask();
  void note(wall_time when);
  void sleep();
  void tell_set_back();

  std::shared_ptr<const wiring> handles_;
  std::set<wall_time> window_;   ///< times at which something is due; at most queue.retry_window
  std::uint64_t generation_ = 0; ///< CAF's delayed messages cannot be cancelled: an old one is told by its number
  bool asking_ = false;
  std::chrono::seconds set_back_{}; ///< the clock, when it was last looked at
};

} // namespace hedwig
