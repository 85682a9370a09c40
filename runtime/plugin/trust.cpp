// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fmt/format.h>

#include "runtime/plugin/loader.hpp"

namespace hedwig::plugin {

namespace {

result<void> check_one(const std::filesystem::path& path, const trust_policy& policy) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0)
    return std::unexpected{system_error(errno, "look at " + path.string())};
  auto deny = [&](std::string message) -> result<void> {
    return std::unexpected{error{HEDWIG_E_DENIED, std::move(message), path.string(), 0}};
  };
  auto owned = info.st_uid == 0 || info.st_uid == geteuid() ||
               std::ranges::find(policy.owners, info.st_uid) != policy.owners.end();
  if (!owned)
    return deny(fmt::format("belongs to user {}, so its owner could make Hedwig run anything: chown root '{}'",
                            info.st_uid, path.string()));
  // In a sticky folder only the owner of an entry may replace it.
  if (S_ISDIR(info.st_mode) && (info.st_mode & S_ISVTX) != 0)
    return {};
  if ((info.st_mode & S_IWOTH) != 0)
    return deny(fmt::format("may be written by everyone: chmod o-w '{}'", path.string()));
  if ((info.st_mode & S_IWGRP) != 0 && !policy.allow_group_writable)
    return deny(fmt::format("may be written by its group: chmod g-w '{}'", path.string()));
  return {};
}

} // namespace

result<void> check_trust(const std::filesystem::path& file, const trust_policy& policy) {
  std::error_code unreadable;
  auto path = std::filesystem::canonical(file, unreadable);
  if (unreadable)
    return std::unexpected{system_error(unreadable.value(), "open " + file.string())};
  for (;; path = path.parent_path()) {
    if (auto one = check_one(path, policy); !one)
      return one;
    if (path == path.root_path())
      return {};
  }
}

} // namespace hedwig::plugin
