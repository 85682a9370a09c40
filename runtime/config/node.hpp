// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hedwig::config {

struct member;

/// A configuration value as it was written, with its place: what TOML and JSON files both become before anything is
/// checked. Provider tables ([storage.rocksdb], [[auth]], [[filters]]) are handed to the plugin host in this form.
struct node {
  enum class kind : std::uint8_t { string, integer, real, boolean, other, array, table };

  kind type = kind::table;
  std::uint32_t line = 0;   ///< from 1; 0: not from a file
  std::uint32_t column = 0; ///< from 1
  std::string text;         ///< of a string
  std::int64_t integer = 0;
  double real = 0;
  bool boolean = false;
  std::vector<node> items;     ///< of an array
  std::vector<member> members; ///< of a table, in the order of the file

  /// The value of a table's key, or null.
  [[nodiscard]] const node* find(std::string_view key) const noexcept;

  [[nodiscard]] static node of(std::string value);
  [[nodiscard]] static node of(std::int64_t value);
  [[nodiscard]] static node of(bool value);
};

/// One key of a table; the place is that of the key.
struct member {
  std::string key;
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  node value;
};

/// The node at a path of keys and indexes ("server.listeners[1].addr"), or null.
[[nodiscard]] const node* find_path(const node& root, std::string_view path);
/// The same, or the nearest table around it that is there; `root` at the last.
[[nodiscard]] const node& nearest_node(const node& root, std::string_view path);

/// "a string", "an integer", "a boolean", "a list", "a table": for messages.
[[nodiscard]] std::string_view describe(node::kind type) noexcept;

} // namespace hedwig::config
