// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hedwig::storage_fs {

/// The members of one JSON object (RFC 8259) as windows into its text: as much of JSON as a message file of Hedwig 0.10
/// needs. Any bytes are legal input; the work is linear in them.
class json_object {
public:
  static constexpr std::size_t members_max = 256;

  /// Nothing when `text` is no object, holds more after it, or nests deeper than 32.
  static std::optional<json_object> parse(std::string_view text);

  /// The bytes that a member means: a string's text in UTF-8, or an array of numbers from 0 to 255 as they are.
  std::optional<std::string> bytes_of(std::string_view name) const;
  /// The object on one line, without that member.
  std::string without(std::string_view name) const;

private:
  std::vector<std::pair<std::string_view, std::string_view>> members_; // names and values as written, quotes included
};

} // namespace hedwig::storage_fs
