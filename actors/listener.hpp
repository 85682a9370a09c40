// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "actors/messages.hpp"
#include "actors/pinned_actor.hpp"
#include "runtime/smtp/reply.hpp"

#include <memory>
#include <optional>
#include <string>

namespace hedwig {

/// What a listener is spawned with.
struct listener_place {
  std::size_t index = 0;        ///< into settings.server.listeners
  std::optional<int> inherited; ///< a listening socket of systemd's; else the listener makes its own
  std::shared_ptr<const wiring> handles;
  caf::actor owner; ///< hears when it listens
};

/// Accepts the connections of one address, turns away what exceeds the limits, and spawns a session for each of the
/// others. Owned by the supervisor; pinned to a loop.
class listener final : public pinned_actor, private net::acceptor_handler {
public:
  listener(caf::actor_config& config, relay_context& context, io_unit& unit, const actor_place& place,
           listener_place where);

  void drain() override;

private:
  caf::behavior begin() override;
  void end() override;
  void on_connection(std::unique_ptr<net::connection> accepted) override;
  void on_exhausted(const error& why) override;

  void open();
  void admit(std::unique_ptr<net::connection> accepted);
  [[nodiscard]] bool has_room(std::uint32_t most, bool is_known);
  void refuse(net::connection& accepted, const smtp::standard_reply& why);

  listener_place place_;
  std::string name_;
  telemetry::counter* accepted_ = nullptr; ///< of the metrics, looked up once
  telemetry::gauge* connections_ = nullptr;
  std::unique_ptr<net::acceptor> acceptor_;
};

} // namespace hedwig
