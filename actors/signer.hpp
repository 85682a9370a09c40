// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "actors/messages.hpp"
#include "actors/observed_actor.hpp"

namespace hedwig {

/// Signs one message once for all its destinations and gives the signature back. One of a pool.
class signer final : public observed_actor {
public:
  signer(caf::actor_config& config, relay_context& context, const actor_place& place)
    : observed_actor{config, context, "signer", place} {}

private:
  caf::behavior make_behavior() override;
  void sign(const sign_work& work);
  void count_signatures(std::string_view fields);

  telemetry::counter* rsa_ = nullptr; ///< looked up once
  telemetry::counter* ed25519_ = nullptr;
};

} // namespace hedwig
