// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "runtime/config/diagnostic.hpp"
#include "runtime/config/load.hpp"
#include "runtime/config/node.hpp"

namespace hedwig::config {

/// A place in the file that is read.
struct place {
  std::uint32_t line = 0;
  std::uint32_t column = 0;

  place() = default;
  place(const node& at) : line{at.line}, column{at.column} {}   // NOLINT: a node is a place
  place(const member& at) : line{at.line}, column{at.column} {} // NOLINT: and so is a key
};

/// Gathers what is wrong with one file.
class report {
public:
  explicit report(std::string file) : file_{std::move(file)} {}

  void error(place at, std::string message) { add(errors_, at, std::move(message)); }
  void warning(place at, std::string message) { add(warnings_, at, std::move(message)); }
  [[nodiscard]] bool failed() const noexcept { return !errors_.empty(); }
  [[nodiscard]] const std::string& file() const noexcept { return file_; }
  /// Sorted by place; beyond errors_max one line says how many more there are.
  [[nodiscard]] std::vector<diagnostic> errors() const { return sorted(errors_); }
  [[nodiscard]] std::vector<diagnostic> warnings() const { return sorted(warnings_); }

private:
  void add(std::vector<diagnostic>& to, place at, std::string message) {
    to.push_back({file_, at.line, at.column, std::move(message)});
  }
  [[nodiscard]] std::vector<diagnostic> sorted(std::vector<diagnostic> list) const;

  std::string file_;
  std::vector<diagnostic> errors_;
  std::vector<diagnostic> warnings_;
};

} // namespace hedwig::config
