// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "admin/client.hpp"

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace hedwig::admin {

enum class command : std::uint8_t {
  help,
  version,
  status,
  actors,
  plugins,
  queue_list,
  queue_show,
  queue_change,
  sessions_list,
  sessions_kill,
  trace,
  log_level,
  pause,
  resume
};

inline constexpr std::string_view default_socket = "/run/hedwig/admin.sock";
/// Rows of one page of `queue list` and `sessions`; the API's most.
inline constexpr std::uint32_t page_max = 1000;

/// What the command line came to.
struct command_line {
  command what = command::help;
  api_place place;
  bool json = false;
  bool all = false;             ///< actors: nothing summed up; queue list: every page
  std::string verb;             ///< of queue_change: "retry", "hold", "release", "bounce", "delete"
  std::vector<std::string> ids; ///< "-": one a line from standard input
  std::string state;            ///< of queue list; empty: all but bounced
  std::string cursor;
  std::uint32_t limit = 0; ///< 0: the API's own
  std::string filter;      ///< of log-level; empty: only ask
  std::string client;      ///< of sessions and trace, as are the next two
  std::string user;
  std::string listener;
  std::uint32_t seconds = 0; ///< of trace; 0: the API's own
};

/// Reads argv without the program's name. `socket`: the value of HEDWIG_ADMIN_SOCKET, may be empty. The error says what
/// is wrong and what to write; printable as it is.
[[nodiscard]] std::expected<command_line, std::string> parse(const std::vector<std::string_view>& arguments,
                                                             std::string_view socket);
[[nodiscard]] std::string_view help_text() noexcept;

} // namespace hedwig::admin
