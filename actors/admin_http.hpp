// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "actors/context.hpp"
#include "actors/messages.hpp"

#include <caf/actor_system.hpp>

#include <memory>

namespace hedwig {

class admin_api;

/// The HTTP faces of the relay: the admin API on a Unix socket (and a port, where asked for), metrics and health on
/// ports of their own. Requests run on threads of the HTTP server; they read the directory and the metrics directly and
/// ask actors by console_request, with a deadline. docs/admin-api.md describes the API.
class admin_http {
public:
  admin_http(relay_context& context, caf::actor_system& system, caf::actor supervisor);
  ~admin_http();
  admin_http(const admin_http&) = delete;
  admin_http& operator=(const admin_http&) = delete;

  /// Opens what the settings ask for. Errors name the socket or the address.
  [[nodiscard]] result<void> open();
  void close();

private:
  class server;
  relay_context& context_;
  caf::actor supervisor_;
  std::unique_ptr<admin_api> api_;
  std::vector<std::unique_ptr<server>> servers_;
};

} // namespace hedwig
