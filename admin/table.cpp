// SPDX-License-Identifier: Apache-2.0
#include "admin/table.hpp"

#include "admin/terminal_text.hpp"

#include <algorithm>

namespace hedwig::admin {

void table::add(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  for (std::size_t i = 0; i < cells.size(); ++i)
    if (columns_[i].width_max > 0)
      cells[i] = shortened(cells[i], columns_[i].width_max);
  rows_.push_back(std::move(cells));
}

std::string table::text() const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    auto widest = width(columns_[i].title);
    for (auto& row : rows_)
      widest = std::max(widest, width(row[i]));
    widths.push_back(widest);
  }
  std::string out;
  auto add_line = [&](auto&& cell_of) {
    std::string line;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      std::string_view cell = cell_of(i);
      std::string padding(widths[i] - width(cell), ' ');
      line += i == 0 ? "" : "  ";
      line += columns_[i].side == align::right ? padding : "";
      line += cell;
      line += columns_[i].side == align::left ? padding : "";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + '\n';
  };
  add_line([&](std::size_t i) -> std::string_view { return columns_[i].title; });
  for (auto& row : rows_)
    add_line([&](std::size_t i) -> std::string_view { return row[i]; });
  return out;
}

} // namespace hedwig::admin
