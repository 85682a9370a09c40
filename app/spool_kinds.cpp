// SPDX-License-Identifier: Apache-2.0
#include "app/spool_kinds.hpp"

#include "app/spool_files.hpp"
#include "app/spool_store.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <span>

namespace hedwig::app {

namespace {

namespace fs = std::filesystem;

/// How the files of a store are known. Those that two stores share (the lock) are left out.
struct spool_kind {
  std::string_view store;
  std::span<const std::string_view> signs;    ///< one of these names is there
  std::span<const std::string_view> names;    ///< all that it has there: whole names,
  std::span<const std::string_view> prefixes; ///< beginnings
  std::span<const std::string_view> endings;  ///< and endings
};

constexpr std::string_view fs_signs[] = {"format", "queued", "deferred"};
constexpr std::string_view fs_names[] = {"queued", "deferred", "held",    "bounced", "quarantined",
                                         "meta",   "free",     "damaged", "format"};
constexpr std::string_view rocksdb_signs[] = {"CURRENT"};
constexpr std::string_view rocksdb_names[] = {"CURRENT", "IDENTITY", "LOCK", "LOG", "rocksdb.spare"};
constexpr std::string_view rocksdb_prefixes[] = {"MANIFEST-", "OPTIONS-", "LOG.old."};
constexpr std::string_view rocksdb_endings[] = {".sst", ".blob", ".log"};
constexpr std::string_view sql_signs[] = {"spool.sqlite"};
constexpr std::string_view sql_prefixes[] = {"spool.sqlite"};

constexpr spool_kind spool_kinds[] = {{"rocksdb", rocksdb_signs, rocksdb_names, rocksdb_prefixes, rocksdb_endings},
                                      {"fs", fs_signs, fs_names, {}, {}},
                                      {"sql", sql_signs, {}, sql_prefixes, {}}};

bool belongs_to(const spool_kind& kind, std::string_view name) {
  auto begins = [&](auto part) { return name.starts_with(part); };
  auto ends = [&](auto part) { return name.ends_with(part); };
  return std::ranges::find(kind.names, name) != kind.names.end() || std::ranges::any_of(kind.prefixes, begins) ||
         std::ranges::any_of(kind.endings, ends);
}

/// Empty: no mail is there.
std::string mail_in(const spool_place& place) {
  auto store = spool_store::open(place, spool_access::read);
  auto found = store ? (*store)->stats() : std::unexpected{store.error()};
  if (!found)
    return fmt::format("files of a spool that cannot be opened ({})", found.error().message);
  auto messages = std::accumulate(found->states.begin(), found->states.end(), std::uint64_t{0},
                                  [](auto sum, auto& state) { return sum + state.messages; });
  return messages == 0 ? std::string{} : fmt::format("{} message{}", messages, messages == 1 ? "" : "s");
}

/// Whether the log of Hedwig 0.10 has records here. Which of them still wait only 0.10 can tell.
bool is_old_log(const fs::path& folder) {
  std::error_code failed;
  if (!fs::exists(folder / "format-version", failed))
    return false;
  for (auto& shard : fs::directory_iterator{folder, failed})
    for (auto& file : fs::directory_iterator{shard.path(), failed})
      if (file.path().filename().string().starts_with("segment-") && file.file_size(failed) > 0)
        return true;
  return false;
}

} // namespace

std::vector<std::string> stores_in(const fs::path& folder) {
  std::vector<std::string> found;
  std::error_code none;
  for (auto& kind : spool_kinds)
    if (std::ranges::any_of(kind.signs, [&](auto sign) { return fs::exists(folder / sign, none); }))
      found.emplace_back(kind.store);
  return found;
}

result<void> retire_spool(const fs::path& folder, std::string_view store) {
  auto kind = std::ranges::find(spool_kinds, store, &spool_kind::store);
  if (kind == std::end(spool_kinds))
    return std::unexpected{error{HEDWIG_E_UNSUPPORTED, "the files of this store are not known here", {}, 0}};
  std::vector<std::string> names;
  std::error_code failed;
  for (auto& one : fs::directory_iterator{folder, failed})
    if (auto name = one.path().filename().string(); belongs_to(*kind, name))
      names.push_back(name);
  // The signs last: until they are gone it is a spool, and an interrupted run can be repeated.
  std::ranges::stable_partition(names, [&](auto& name) { return std::ranges::count(kind->signs, name) == 0; });
  for (auto& name : names) {
    auto to = folder / (".migrated-" + name);
    for (int n = 2; fs::exists(to, failed); ++n)
      to = folder / fmt::format(".migrated-{}-{}", name, n);
    fs::rename(folder / name, to, failed);
    if (failed)
      return std::unexpected{system_error(failed.value(), "rename " + (folder / name).string())};
  }
  return sync_folder(folder);
}

std::vector<std::string> stranded_spools(const config::loaded& file) {
  auto& storage = file.settings.storage;
  std::vector<std::string> told;
  if (auto old = fs::path{storage.base_path} / "spool"; is_old_log(old))
    told.push_back(
        fmt::format("{0} is the log of Hedwig 0.10, which this program does not read, and may hold mail: let "
                    "0.10 deliver what is in it, then move {0} away",
                    old.string()));
  for (auto& type : stores_in(storage.base_path)) {
    auto mail = type == storage.storage_type ? std::string{} : mail_in({type, storage.base_path, &file});
    if (!mail.empty())
      told.push_back(fmt::format("{0} holds {1} of storage_type \"{2}\", at which \"{3}\" does not look: run hedwig "
                                 "spool migrate --from {2} --to {3} --retire, or set storage.storage_type back to "
                                 "\"{2}\"",
                                 storage.base_path, mail, type, storage.storage_type));
  }
  return told;
}

} // namespace hedwig::app
