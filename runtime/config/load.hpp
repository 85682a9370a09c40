// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <expected>
#include <functional>
#include <optional>
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
  node root;                        ///< everything as written, for plan_reload()
  load_options options;             ///< as given, completed from the system
};

/// Reads and checks a whole file: TOML, or JSON when the name ends in ".json". Either settings that hold every promise
/// of the schema, or every error of the file, sorted by place. Blocking; any thread. Files that keys name
/// (certificates, keys) are not opened here: relative paths in them are made absolute against the folder of the file.
[[nodiscard]] std::expected<loaded, std::vector<diagnostic>> load(const std::string& path,
                                                                  const load_options& options = {});
/// The same for a text that is already in memory; `path` serves messages, the choice of format and relative paths.
[[nodiscard]] std::expected<loaded, std::vector<diagnostic>> load_text(std::string_view text, const std::string& path,
                                                                       const load_options& options = {});

/// What a file says and what is wrong with it.
struct looked_at {
  /// Nothing where the file as a whole cannot be read. With errors, what they are about has its default or is left out:
  /// good for looking at what the other keys name, and for nothing else.
  std::optional<loaded> file;
  std::vector<diagnostic> errors; ///< sorted by place; empty: `file` is what load() gives
};
/// As load(), for who wants to find the errors of later steps too.
[[nodiscard]] looked_at look(const std::string& path, const load_options& options = {});

/// The same for what was read before; `root` was made by load() or plan_reload().
[[nodiscard]] std::expected<loaded, std::vector<diagnostic>> load_root(node root, const std::string& path,
                                                                       const load_options& options);

/// What the schema does not know about the relay that reloads.
struct reload_options {
  /// Whether the key `key` of the provider `use` may change while it runs; `list` is "auth", "filters" or "storage".
  /// Null: none may.
  std::function<bool(std::string_view list, std::string_view use, std::string_view key)> provider_key_changes;
};

struct reload_plan {
  /// The file in force with the reloadable keys of the wanted one taken over, and nothing else.
  node root;
  std::vector<std::string> applied; ///< keys in which `root` differs from the file in force
  std::vector<std::string> restart; ///< keys in which the wanted file differs from `root`
};

/// What a running relay takes over of a changed file: the one place that decides it, by the schema's `reloadable`
/// flags, so that what is said to be in force is. Listeners are known by their address, providers by their name; the
/// order of listeners means nothing. Of lists that are not reloadable no entry comes or goes; nor
/// do the first and the last of [[server.auth]] and of the rules of [[filters]], whose providers run or do not. Names
/// are sorted, each stands once: "server.listeners[127.0.0.1:25].relay_from", "auth[ldap].uri", "routes".
[[nodiscard]] reload_plan plan_reload(const node& in_force, const node& wanted, const reload_options& options = {});

/// A complaint about the key at a path of keys and indexes, such as "server.dkim[1].private_key", or about the nearest
/// table around it that the file has. The message is made one line.
[[nodiscard]] diagnostic diagnostic_at(const loaded& file, std::string_view key_path, std::string_view message);

/// docs/configuration.md, printed from the schema.
[[nodiscard]] std::string reference_markdown();

} // namespace hedwig::config
