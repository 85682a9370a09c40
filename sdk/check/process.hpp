// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace hedwig::check {

class context;

/// This program started once more, in a process group of its own that ends with its parent.
struct start_of_self {
  std::vector<std::string> words; ///< of the command line, without the program
  int output = -1;                ///< standard output; standard error too with `errors`
  bool errors = false;
  int passed = -1;     ///< a descriptor the child keeps under its number
  std::string preload; ///< a library
};

/// Throws unusable.
pid_t start(const start_of_self& what);

/// The wait status, or nothing once `limit` has passed: then the whole group has been killed and reaped.
std::optional<int> wait_for(pid_t child, std::chrono::seconds limit);

/// What the options say of plugin, settings and folder, as words for start().
std::vector<std::string> words_for(const context& run);

/// "killed by signal 11 (Segmentation fault)".
std::string end_of(int wait_status);

} // namespace hedwig::check
