// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/sink/script.hpp"
#include "runtime/net/address.hpp"

namespace hedwig::sink {

/// The EHLO keywords, each of which can be left out.
struct features {
  bool ehlo = true;
  bool pipelining = true;
  bool eightbitmime = true;
  bool smtputf8 = true;
  bool size = true;
  bool enhanced_status_codes = true;
};

struct options {
  std::vector<net::address> listen;
  std::string hostname = "sink.localhost";
  class script script;
  struct features features;
  bool starttls = false;
  bool implicit_tls = false;
  std::string certificate_file; ///< empty: one is made
  std::string key_file;
  std::string auth_user; ///< empty: no AUTH
  std::string auth_password;
  std::uint64_t size_max = 64U << 20U;
  std::size_t recipients_max = 1000;
  std::size_t connections_max = 20'000;
  std::chrono::milliseconds idle_timeout{300'000};
  std::string store_directory; ///< empty: messages are thrown away
  std::string stats_file;
  bool print = false;
  bool summary = false;
  std::uint64_t count = 0; ///< messages after which the program ends; 0: never
};

/// What the command line came to.
struct command_line {
  struct options options;
  bool help = false;
  bool version = false;
};

/// Reads argv without the program's name; the error's `where` names the option.
[[nodiscard]] result<command_line> parse_command_line(const std::vector<std::string_view>& arguments);
[[nodiscard]] std::string_view help_text() noexcept;

} // namespace hedwig::sink
