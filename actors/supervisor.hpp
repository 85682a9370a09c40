// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "actors/messages.hpp"
#include "actors/observed_actor.hpp"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace hedwig {

/// What the program (or the simulation) wants to hear from the supervisor. Called on a scheduler thread.
struct supervisor_events {
  std::function<void()> started;                      ///< every listener listens
  std::function<void(const std::string& why)> failed; ///< the relay cannot go on: the process has to end
  std::function<void()> drained;                      ///< after drain: nothing is under way any more
};

/// Listening sockets that systemd handed over, by listener index.
using inherited_sockets = std::map<std::size_t, int>;

/// Starts the others, watches them, and starts again what failed, with growing pauses. A store that fails is not
/// restarted: what is on disk is the truth, and the process ends. Orderly shutdown goes the way of the mail: listeners,
/// sessions, deliveries, spooler.
class supervisor final : public observed_actor {
public:
  supervisor(caf::actor_config& config, relay_context& context, supervisor_events events, inherited_sockets inherited);

private:
  enum class role : std::uint8_t { spooler, dispatcher, signer, authenticator, bouncer, retry_timer, listener };
  struct child_actor {
    role what{};
    std::size_t index = 0; ///< of signers and listeners
    caf::actor actor;
    std::uint32_t restarts = 0; ///< in all
    std::uint32_t failures = 0; ///< in a row, each soon after the one before
    steady_time born{};
  };

  caf::behavior make_behavior() override;
  void on_exit() override;
  void start_all();
  void start(child_actor& what);
  [[nodiscard]] caf::actor spawn_role(const child_actor& what);
  [[nodiscard]] caf::actor spawn_listener(const child_actor& what);
  void on_down(const caf::down_msg& down);
  void restart(std::size_t number);
  void on_listening(std::size_t index);
  void on_drain();
  void look_whether_drained();
  void publish();
  void on_console(const console_request& request);
  [[nodiscard]] static const char* name_of(role what) noexcept;

  supervisor_events events_;
  inherited_sockets inherited_;
  std::vector<child_actor> children_;
  std::shared_ptr<const wiring> handles_;
  std::size_t listening_ = 0;
  bool started_ = false;
  bool draining_ = false;
};

} // namespace hedwig
