// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/base/buffer.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace hedwig::dkim {

/// The header section of a message as fields that can be looked up by name, made in one pass. Owns its text.
class header_fields {
public:
  /// nullopt when the section is longer than `size_max`.
  [[nodiscard]] static std::optional<header_fields> of(const rope& message, std::size_t size_max);

  /// The fields of that lower-case name, in the order of the message, each folded as it is, without its last CRLF.
  [[nodiscard]] const std::vector<std::string_view>& named(const std::string& lower_case_name) const;
  /// Where the body begins in the message.
  [[nodiscard]] std::size_t body_offset() const noexcept { return body_offset_; }
  /// The empty line that ends the section was there.
  [[nodiscard]] bool complete() const noexcept { return text_.ends_with("\r\n\r\n"); }

private:
  void index(std::string_view section);

  std::string text_;
  std::size_t body_offset_ = 0;
  std::unordered_map<std::string, std::vector<std::string_view>> fields_;
};

} // namespace hedwig::dkim
