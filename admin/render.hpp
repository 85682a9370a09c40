// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "admin/actor_tree.hpp"

#include <Poco/JSON/Object.h>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

/// The API's answers for people. What stands in them is escaped; a member that is missing shows as nothing.
/// Every function: any thread.
namespace hedwig::admin {

using time_point = std::chrono::sys_seconds;

[[nodiscard]] std::string render_status(const Poco::JSON::Object& answer);
[[nodiscard]] std::vector<actor_info> actors_of(const Poco::JSON::Object& answer);
/// A table of all instances, then what there is to say of those that failed.
[[nodiscard]] std::string render_plugins(const Poco::JSON::Object& answer, time_point now);
/// One page; `now` makes ages of times. Empty when there is no message.
[[nodiscard]] std::string render_list(const Poco::JSON::Object& answer, time_point now);
[[nodiscard]] std::string render_message(const Poco::JSON::Object& answer, time_point now);
/// One page of sessions. Empty when there is none.
[[nodiscard]] std::string render_sessions(const Poco::JSON::Object& answer);
/// "2 sessions ended, 1 ends after its commit"
[[nodiscard]] std::string render_kill(const Poco::JSON::Object& answer);
/// "01J…: retry, now"
[[nodiscard]] std::string render_change(const Poco::JSON::Object& answer, std::string_view verb);

} // namespace hedwig::admin
