// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
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

/// A copy of this process, which has one thread, runs `run` and ends with what that gives: cheaper than a start, where
/// no library has to be preloaded. Of `what` the descriptors count. Throws unusable.
pid_t start_copy(const start_of_self& what, const std::function<int()>& run);

/// The wait status, or nothing once `limit` has passed: then the whole group has been killed and reaped.
std::optional<int> wait_for(pid_t child, std::chrono::seconds limit);

/// What the options say of plugin, settings and folder, as words for start().
std::vector<std::string> words_for(const context& run);

/// Runs a command of the settings' [check] table, unless it is empty. Throws unusable when it fails.
void run_command(const std::string& command, const char* what);

/// "killed by signal 11 (Segmentation fault)".
std::string end_of(int wait_status);

} // namespace hedwig::check
