// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <string>
#include <vector>

namespace hedwig::check {

/// How one test ended.
struct verdict {
  enum class kind { passed, failed, skipped } what = kind::failed;
  std::string name; ///< "storage.move-compares"
  std::string title;
  std::string saw;        ///< what happened, or the reason of a skip
  std::string rule;       ///< the contract's words
  std::string rule_place; ///< where they stand
  std::string output;     ///< the end of what the test's process wrote
  std::string repeat;     ///< the command that runs it again
  double seconds = 0;
};

/// Test Anything Protocol, version 14, while the tests run. Owned by main; one thread.
class tap_report {
public:
  explicit tap_report(std::FILE* to) : to_{to} {}
  void begin(std::size_t tests, const std::vector<std::string>& remarks);
  void add(const verdict& one);

private:
  std::FILE* to_;
  std::size_t number_ = 0;
};

/// All of it as JUnit's XML; false when the file cannot be written.
bool write_junit(const std::string& file, const std::string& suite, const std::vector<verdict>& all);

} // namespace hedwig::check
