// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/plugin.h>
#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/error.hpp"
#include "runtime/plugin/host.hpp"

namespace hedwig::plugin {

class instance_host;

/// The identity of a plugin, read from its ELF note without running any of its code.
struct plugin_note {
  std::uint16_t abi_major = 0;
  std::uint16_t abi_minor = 0;
  std::uint16_t needs_minor = 0;
  std::string id;
  std::string version;
};

/// INVALID with what to do for a file that is no plugin.
[[nodiscard]] result<plugin_note> read_note(const std::filesystem::path& file);

/// UNSUPPORTED when a plugin with this note cannot work with this host, with what to do.
[[nodiscard]] result<void> check_abi(const plugin_note& note);

/// Whose files are loaded: those of root and of the user this process runs as, writable by nobody else, in folders of
/// which the same is true up to the root (a sticky folder such as /tmp may be written by all).
struct trust_policy {
  std::vector<uid_t> owners;         ///< trusted besides
  bool allow_group_writable = false; ///< for development trees of a group
};

/// DENIED, naming the file or folder and the command that mends it. Where `file` is a link, the folders that it stands
/// in are looked at as well as those that it leads to. The folder of the file itself gets no pardon for being sticky.
[[nodiscard]] result<void> check_trust(const std::filesystem::path& file, const trust_policy& policy);
/// The same of an open file alone, whatever its name leads to by now.
[[nodiscard]] result<void> check_trust(int descriptor, const std::filesystem::path& file, const trust_policy& policy);

/// SHA-256 of a file, in 64 lower-case hexadecimal digits.
[[nodiscard]] result<std::string> sha256_of(int descriptor, const std::filesystem::path& file);
[[nodiscard]] result<std::string> sha256_of(const std::filesystem::path& file);

/// "hedwig.storage/1" → "storage".
[[nodiscard]] std::string_view kind_of(std::string_view interface_id) noexcept;

/// A provider of a loaded plugin. Both pointers are constant data that is never unloaded.
struct provider_ref {
  const hedwig_plugin* plugin = nullptr;
  const hedwig_provider* provider = nullptr;
  std::string file; ///< empty: built in

  [[nodiscard]] std::string_view interface_id() const noexcept { return provider->interface_id; }
  [[nodiscard]] std::string_view name() const noexcept { return provider->name; }
  /// "auth.static": the kind of interface and the name.
  [[nodiscard]] std::string label() const;
};

/// A file in one of the directories, seen from outside.
struct plugin_file {
  std::string file;
  result<plugin_note> note;
  result<void> usable; ///< what loading it would say before it runs any of its code
};

/// The providers that are loaded; outlives their instances. Thread-safe. A provider "rocksdb" of "hedwig.storage/1" is
/// looked for in the file storage-rocksdb.so when no loaded plugin has it.
class catalogue {
public:
  catalogue(std::shared_ptr<host> services, std::vector<std::string> directories, trust_policy trust = {});
  ~catalogue();
  catalogue(const catalogue&) = delete;
  catalogue& operator=(const catalogue&) = delete;

  /// Loads "storage-rocksdb" (with or without ".so") from the first directory that has it: trust, note and ABI are
  /// checked before any of its code runs. Loading it again is no error.
  /// `sha256`: what the file must hash to, if not empty; it is then loaded from the very descriptor that was hashed,
  /// and so cannot find libraries by $ORIGIN.
  [[nodiscard]] result<void> load(std::string_view file_name, std::string_view sha256 = {});
  /// Adds a plugin that is part of the program (tests). EXISTS when it offers what another one offers already.
  [[nodiscard]] result<void> add(const hedwig_plugin* plugin, std::string file = {});
  /// NOT_FOUND names the directories looked in and the names that are there.
  [[nodiscard]] result<provider_ref> find(std::string_view interface_id, std::string_view name,
                                          std::string_view sha256 = {});

  [[nodiscard]] std::vector<provider_ref> providers() const;
  /// All *.so files of the directories, without running code, sorted.
  [[nodiscard]] std::vector<plugin_file> scan() const;

private:
  [[nodiscard]] result<std::filesystem::path> locate(const std::string& stem) const;
  [[nodiscard]] result<void> load_file(const std::filesystem::path& file, std::string_view sha256);
  [[nodiscard]] result<void> check_content(const std::filesystem::path& real, int descriptor,
                                           std::string_view sha256) const;
  [[nodiscard]] result<void> open_and_add(const std::filesystem::path& real, int descriptor, std::string_view sha256);
  [[nodiscard]] result<void> check_place(const std::filesystem::path& file, const std::filesystem::path& real) const;
  [[nodiscard]] const provider_ref* known(std::string_view interface_id, std::string_view name) const;
  [[nodiscard]] result<void> add_locked(const hedwig_plugin* plugin, std::string file);
  [[nodiscard]] error not_found(std::string_view interface_id, std::string_view name) const;

  std::shared_ptr<host> services_;
  std::vector<std::string> directories_;
  trust_policy trust_;
  mutable std::mutex mutex_;
  std::vector<provider_ref> providers_;
  struct loaded_file {
    std::string path;
    int descriptor; ///< stays open: dlopen() knows files by their name, and that of a descriptor must not come again
    bool pinned;
  };
  std::vector<loaded_file> files_;
  // What the entry functions were shown. Not longer than the catalogue: a face keeps the host and its thread.
  std::vector<std::shared_ptr<instance_host>> faces_;
};

} // namespace hedwig::plugin
