// SPDX-License-Identifier: Apache-2.0
#include "runtime/config/diagnostic.hpp"

#include <fmt/format.h>

namespace hedwig::config {

std::string diagnostic::text() const {
  return line == 0 ? fmt::format("{}: {}", file, message) : fmt::format("{}:{}:{}: {}", file, line, column, message);
}

std::string to_text(std::span<const diagnostic> list) {
  std::string out;
  for (const auto& one : list)
    out.append(one.text()).append("\n");
  return out;
}

std::string to_text(std::span<const diagnostic> list, std::string_view mark) {
  std::string out;
  for (auto one : list) {
    one.message = fmt::format("{}: {}", mark, one.message);
    out.append(one.text()).append("\n");
  }
  return out;
}

} // namespace hedwig::config
