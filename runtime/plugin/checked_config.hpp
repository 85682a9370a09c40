// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/config.h>
#include <hedwig/plugin.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "runtime/base/error.hpp"
#include "runtime/config/diagnostic.hpp"
#include "runtime/config/node.hpp"

/// The host's side of the opaque SDK type: one table whose values satisfy a provider's schema. Immutable once made.
struct hedwig_config {
  using tables = std::vector<std::shared_ptr<const hedwig_config>>;
  using value = std::variant<std::string, std::int64_t, bool, std::vector<std::string>, tables>;
  std::map<std::string, value, std::less<>> values; ///< by dotted name; defaults are filled in
};

namespace hedwig::plugin {

/// What check_config() needs to know besides the schema.
struct config_source {
  std::string file;                        ///< for diagnostics
  std::string table;                       ///< "storage.rocksdb": the dotted name of the provider's table
  std::filesystem::path directory;         ///< of the file: PATH values are relative to it
  std::vector<std::string_view> host_keys; ///< keys the host itself reads from the same table, such as "use"
};

struct checked {
  std::shared_ptr<const hedwig_config> config; ///< null when there are errors
  std::vector<config::diagnostic> errors;
  std::vector<config::diagnostic> warnings;
};

/// Checks `table` against `schema` (null: no key is known), fills in defaults, resolves secrets ({file = "…"} and
/// {env = "…"}) and reports every error, not just the first.
[[nodiscard]] checked check_config(const config::node& table, const hedwig_config_schema* schema,
                                   const config_source& source);

/// A complaint about the value of a dotted key of `table` ("user.name" is looked for in the first [[user]]); about the
/// table as a whole when the key is not there.
[[nodiscard]] config::diagnostic diagnostic_at(const config::node& table, const config_source& source,
                                               std::string_view key, std::string_view message);

/// What is wrong with a schema itself: a bug of the plugin. Empty: nothing.
[[nodiscard]] std::vector<std::string> schema_faults(const hedwig_config_schema* schema);

/// The reference of a schema as a markdown table with one row a key; nested tables follow as tables of their own.
/// `table` is the dotted name of the provider's table.
[[nodiscard]] std::string schema_markdown(const hedwig_config_schema* schema, std::string_view table);

/// The service table HEDWIG_HOST_CONFIG.
[[nodiscard]] const hedwig_host_config* config_service() noexcept;

} // namespace hedwig::plugin
