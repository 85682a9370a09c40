// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <expected>
#include <string>
#include <vector>

namespace hedwig::app {

/// Exit statuses of the program.
inline constexpr int exit_ok = 0;
inline constexpr int exit_failed = 1; ///< could not start, or had to stop
inline constexpr int exit_usage = 2;  ///< wrong command line or configuration

/// What the command line asks for.
struct command_line {
  enum class command {
    server,
    check,
    dkim_generate,
    hash_password,
    config_reference,
    version,
    help
  } what = command::server;
  std::string config; ///< path; empty: the default one
  // dkim-generate
  std::string domain;
  std::string selector;
  std::string private_key;
  std::string key_type;
};

/// An error is a text for the user, with what to write instead.
[[nodiscard]] std::expected<command_line, std::string> parse_command_line(const std::vector<std::string>& arguments);
[[nodiscard]] std::string usage();

/// The file to read when none was named: config.toml where we stand, as Hedwig 0.10 has it, else the installed one.
[[nodiscard]] std::string default_config_path();
/// What to write where a configuration cannot be opened or read, with a line feed; empty where it can.
[[nodiscard]] std::string advice_on_config(const std::string& path);

} // namespace hedwig::app
