// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/config/diagnostic.hpp"
#include "runtime/config/settings.hpp"

namespace hedwig::config {

/// Files above this are refused: a configuration is never that long.
inline constexpr std::size_t file_size_max = 1u << 20;
/// Errors reported of one file; then one line says that there are more.
inline constexpr std::size_t errors_max = 100;

struct load_options {
  /// Default of server.hostname; empty: asked from the system, "localhost" when it has none.
  std::string machine_name;
  /// Default of process.io_loops and scheduler_threads; 0: asked from the system.
  unsigned processors = 0;
};

struct loaded {
  config::settings settings;
  std::vector<diagnostic> warnings; ///< sorted by place
  std::string path;                 ///< as given
  node root;                        ///< everything as written, for reload_difference()
};

/// Reads and checks a whole file: TOML, or JSON when the name ends in ".json". Either settings that hold every promise
/// of the schema, or every error of the file, sorted by place. Blocking; any thread. Files that keys name
/// (certificates, keys) are not opened here: relative paths in them are made absolute against the folder of the file.
[[nodiscard]] std::expected<loaded, std::vector<diagnostic>> load(const std::string& path,
                                                                  const load_options& options = {});
/// The same for a text that is already in memory; `path` serves messages, the choice of format and relative paths.
[[nodiscard]] std::expected<loaded, std::vector<diagnostic>> load_text(std::string_view text, const std::string& path,
                                                                       const load_options& options = {});

struct reload_report {
  std::vector<std::string> applied; ///< keys that changed and take effect at once
  std::vector<std::string> restart; ///< keys that changed and wait for a restart
  [[nodiscard]] bool empty() const noexcept { return applied.empty() && restart.empty(); }
};

/// Which keys differ between two loaded files, by the schema's `reloadable` flags; sorted, each key once. Keys of a
/// provider count as the provider's table ("storage.rocksdb"): the plugin host knows more.
[[nodiscard]] reload_report reload_difference(const loaded& before, const loaded& after);

/// docs/configuration.md, printed from the schema.
[[nodiscard]] std::string reference_markdown();

} // namespace hedwig::config
