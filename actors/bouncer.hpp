// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "actors/messages.hpp"
#include "actors/observed_actor.hpp"

#include <unordered_map>

namespace hedwig {

/// Makes delivery status notifications (RFC 3464) and hands them to the spooler as messages of their own. Never asked
/// about a message with a null reverse-path, so there is no bounce of a bounce.
class bouncer final : public observed_actor {
public:
  bouncer(caf::actor_config& config, relay_context& context, const actor_place& place)
    : observed_actor{config, context, "bouncer", place} {}

private:
  caf::behavior make_behavior() override;
  void on_exit() override { handles_.reset(); }
  void on_report(const report_failure& request);
  void on_body(const body_loaded& loaded);
  void notify(const report_failure& request, const rope* body);

  std::shared_ptr<const wiring> handles_;
  std::unordered_map<message_id, report_failure> loading_; ///< bounded by the active messages
};

} // namespace hedwig
