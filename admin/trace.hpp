// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "admin/command_line.hpp"

#include <Poco/JSON/Object.h>

#include <iosfwd>
#include <string>

namespace hedwig::admin {

/// Begins a trace and prints its lines until its time is up, the relay ends it, or SIGINT or SIGTERM comes. The exit
/// status: 0 it ended as it should, 1 it could not be begun, or the relay went away.
[[nodiscard]] int trace(const command_line& wanted, std::ostream& out, std::ostream& err);

/// One line of a trace for people, escaped, with its end: "13:30:48.123 42 192.0.2.1:4242 C: EHLO client".
[[nodiscard]] std::string render_trace_line(const Poco::JSON::Object& line);

/// "client=192.0.2.0%2F24&user=bob": the parameters that say whose sessions are meant.
[[nodiscard]] std::string session_parameters(const command_line& wanted);

} // namespace hedwig::admin
