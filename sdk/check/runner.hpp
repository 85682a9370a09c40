// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "sdk/check/options.hpp"
#include "sdk/check/report.hpp"
#include "sdk/check/test.hpp"

namespace hedwig::check {

/// A test of a suite, and whom it belongs to.
struct planned {
  const suite* whose;
  const test* what;
  std::string name() const { return std::string{whose->name} + "." + std::string{what->name}; }
};

/// What the plugin offers, found out by a process of its own.
plugin_summary describe_apart(const options& chosen);

/// What the options choose: of a plugin that cannot be loaded what its file says, of none everything. Throws unusable
/// when that is nothing.
std::vector<planned> plan(const options& chosen, const plugin_summary* plugin);

/// Runs one test in a process of its own.
verdict run_apart(const planned& one, const provider_choice& provider, const settings_file& settings,
                  const options& chosen);

/// Runs one test here; how it ended, without the time.
verdict run_here(const planned& one, context& run);

/// What a child process does: the test of --child or the summary, reported to --report, or the role of --role.
int run_child(const options& chosen);

} // namespace hedwig::check
