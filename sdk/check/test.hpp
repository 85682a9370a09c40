// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "sdk/check/rule.hpp"

namespace hedwig::check {

/// Ends a test: the plugin broke a rule.
class broken : public std::runtime_error {
public:
  broken(const rule& which, const std::string& saw) : std::runtime_error{saw}, which_{&which} {}
  const rule& which() const { return *which_; }

private:
  const rule* which_;
};

/// Ends a test that cannot be judged here; what() is the reason.
class skipped : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// Ends a test for a reason that is not the plugin's: a folder that cannot be made, say.
class unusable : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// Throws broken(which, text) unless `holds`.
template <class... Args>
void expect(bool holds, const rule& which, fmt::format_string<Args...> text, Args&&... args) {
  if (!holds)
    throw broken{which, fmt::format(text, std::forward<Args>(args)...)};
}

/// "HEDWIG_E_BUSY", or the number of a status that the header does not know.
std::string name_of(std::int32_t status);

class context;

/// One test of a suite: run in a process of its own.
struct test {
  std::string_view name;  ///< within the suite
  std::string_view title; ///< what holds when it passes
  int level;              ///< skipped when a test of a lower level has failed: it could not be judged
  void (*run)(context&);
  bool faults = false;   ///< runs with the library that injects faults
  bool unloaded = false; ///< runs without the plugin's code: it looks at the file
};

/// What a test may start as a process besides itself, to be killed.
struct role {
  std::string_view name;
  int (*run)(context&, std::uint64_t number);
};

/// The tests of one interface.
struct suite {
  std::string_view name;
  std::string_view interface_id; ///< which a provider must have; empty: any provider
  std::span<const test> tests;
  std::span<const role> roles;
  bool of_the_file = false; ///< judged even when the plugin cannot be loaded
};

/// Every suite of the kit, in the order they are run.
std::span<const suite> all_suites();

} // namespace hedwig::check
