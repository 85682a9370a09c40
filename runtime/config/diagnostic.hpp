// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace hedwig::config {

/// One thing that is wrong, or doubtful, at one place of a configuration file. `line` and `column` count from 1; 0
/// means that the place is the file as a whole (a required key that is absent everywhere).
struct diagnostic {
  std::string file;
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  /// "what is wrong: what to write instead"; one line, control characters escaped, never a secret.
  std::string message;

  /// "file:line:column: message"; line and column are left out when they are 0.
  [[nodiscard]] std::string text() const;
  /// By place, then by message.
  friend std::strong_ordering operator<=>(const diagnostic&, const diagnostic&) = default;
};

/// The texts, one a line, each line ended.
[[nodiscard]] std::string to_text(std::span<const diagnostic> list);
/// "file:line:column: error: message": with `mark` ("error", "warning") after the place, as compilers have it.
[[nodiscard]] std::string to_text(std::span<const diagnostic> list, std::string_view mark);

} // namespace hedwig::config
