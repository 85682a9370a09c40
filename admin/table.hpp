// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hedwig::admin {

enum class align : std::uint8_t { left, right };

/// Lines up cells in columns. Cells are printed as they are: escape what a peer said first.
class table {
public:
  struct column {
    std::string title;
    align side = align::left;
    std::size_t width_max = 60; ///< longer cells are cut; 0: never
  };

  explicit table(std::vector<column> columns) : columns_{std::move(columns)} {}

  /// One cell a column; missing ones are empty.
  void add(std::vector<std::string> cells);
  [[nodiscard]] bool empty() const noexcept { return rows_.empty(); }
  /// Titles and rows, two blanks between columns, none at the end of a line, each line ended.
  [[nodiscard]] std::string text() const;

private:
  std::vector<column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

} // namespace hedwig::admin
