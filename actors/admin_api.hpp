// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "actors/context.hpp"
#include "actors/messages.hpp"

#include <Poco/JSON/Object.h>

#include <map>
#include <string>
#include <string_view>

namespace hedwig {

/// Which part of the API a socket serves. Health and metrics are part of all.
enum class admin_scope : std::uint8_t { admin, metrics, health };

struct admin_answer {
  int status = 200;
  std::string content_type = "application/json";
  std::string body = {};
  std::string allow = {}; ///< of a 405: the methods the path takes
};

/// The admin API without HTTP: method and target in, status and body out. Called by threads of the HTTP server, several
/// at once; waits for actors, with a deadline.
class admin_api {
public:
  admin_api(relay_context& context, caf::actor supervisor)
    : context_{context}, supervisor_{std::move(supervisor)}, started_{context.time.steady()} {}

  [[nodiscard]] admin_answer answer(admin_scope scope, std::string_view method, const std::string& target);

private:
  using parameters = std::map<std::string, std::string>;

  [[nodiscard]] admin_answer admin(std::string_view method, const std::string& path, const parameters& given);
  [[nodiscard]] admin_answer health(bool ready_too);
  [[nodiscard]] admin_answer metrics();
  [[nodiscard]] admin_answer status();
  [[nodiscard]] admin_answer actors();
  [[nodiscard]] admin_answer plugins();
  [[nodiscard]] admin_answer log_level(std::string_view method, const parameters& given);
  [[nodiscard]] admin_answer queue_list(const parameters& given);
  [[nodiscard]] admin_answer queue_message(std::string_view method, const std::string& rest, const parameters& given);
  // What clients do (admin_sessions.cpp). `rest` of a path: "" or "/...".
  [[nodiscard]] admin_answer sessions(std::string_view method, std::string_view rest, const parameters& given);
  [[nodiscard]] admin_answer session_list(const parameters& given);
  [[nodiscard]] admin_answer session_kill(std::string_view id, const parameters& given);
  [[nodiscard]] admin_answer traces(std::string_view method, std::string_view rest, const parameters& given);
  [[nodiscard]] admin_answer trace_begin(const parameters& given);
  [[nodiscard]] admin_answer trace_list();
  [[nodiscard]] admin_answer trace_lines(std::uint64_t id, const parameters& given);
  [[nodiscard]] admin_answer ask(console_request request);
  [[nodiscard]] std::string why_not_ready() const;
  [[nodiscard]] Poco::JSON::Object refusals() const;
  [[nodiscard]] Poco::JSON::Object memory() const;
  [[nodiscard]] Poco::JSON::Object store() const;

  relay_context& context_;
  caf::actor supervisor_;
  steady_time started_;
};

} // namespace hedwig
