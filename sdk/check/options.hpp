// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sdk/check/context.hpp"

namespace hedwig::check {

/// The command line. What stands below the line is for the kit's own processes.
struct options {
  std::string plugin;
  std::string config;
  std::string provider;
  std::string suite;
  std::vector<std::string> only;
  std::string junit;
  std::string folder;
  std::optional<std::uint64_t> seed;
  std::optional<int> time_limit; ///< seconds for each test
  effort how_much = effort::normal;
  bool list = false;
  bool in_process = false;
  bool keep_going = false;
  bool help = false;
  // ---
  bool describe = false; ///< load the plugin and say what it offers; not on the command line
  std::string child;     ///< a test's full name
  std::string role;
  std::uint64_t role_number = 0;
  std::string unique;
  int report = -1;
};

/// Throws unusable for what cannot be understood.
options read_options(int count, char** words);
/// For --help.
std::string usage();

} // namespace hedwig::check
