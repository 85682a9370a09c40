// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "actors/messages.hpp"
#include "actors/observed_actor.hpp"
#include "runtime/smtp/sasl_scram.hpp"

#include <memory>
#include <unordered_map>

namespace hedwig {

/// Asks the auth providers in the operator's order until one knows the user. One provider that cannot tell (a directory
/// that is down) makes the answer temporary, never a no.
class authenticator final : public observed_actor {
public:
  authenticator(caf::actor_config& config, relay_context& context, const actor_place& place)
    : observed_actor{config, context, "authenticator", place} {}

private:
  struct inquiry {
    authenticate question;
    std::size_t provider = 0; ///< that is being asked
    hedwig_status worst = HEDWIG_E_DENIED;
  };

  caf::behavior make_behavior() override;
  void on_exit() override { sink_.reset(); }
  void on_question(authenticate& question);
  void on_answers(plugin_answers& answers);
  void ask(std::uint64_t number, inquiry& now);
  void finish(std::uint64_t number, authenticated answer);
  void finish_without_user(std::uint64_t number, inquiry& now, hedwig_status status);
  /// False: the provider gave no usable keys.
  [[nodiscard]] bool take_keys(std::uint64_t number, inquiry& now, plugin::scram_secret& secret);
  void doubt(inquiry& now, const error& why);

  std::shared_ptr<plugin::completion_sink> sink_;
  std::unordered_map<std::uint64_t, inquiry> open_; ///< bounded by the number of sessions
  std::uint64_t last_ = 0;
  smtp::scram_pretender pretender_;
};

} // namespace hedwig
