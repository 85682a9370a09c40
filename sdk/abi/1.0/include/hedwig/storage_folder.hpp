// SPDX-License-Identifier: Apache-2.0
// hedwig/storage_folder.hpp - the folder a store lives in, made so that it survives a power cut.
#pragma once

#include <cerrno>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugin.hpp"

namespace hedwig::sdk {

namespace detail {

inline std::string folder_above(const std::string& path) {
  auto end = path.find_last_not_of('/');
  auto slash = end == std::string::npos ? end : path.rfind('/', end);
  if (slash == std::string::npos)
    return ".";
  auto last = path.find_last_not_of('/', slash);
  return last == std::string::npos ? "/" : path.substr(0, last + 1);
}

[[noreturn]] inline void fail_on_folder(const char* doing, const std::string& path) {
  int number = errno;
  bool full = number == ENOSPC || number == EDQUOT;
  throw failure{full ? HEDWIG_E_NO_SPACE : HEDWIG_E_IO, std::string{doing} + " " + path + ": " + std::strerror(number),
                path, number};
}

} // namespace detail

/// Makes the folder `path` (mode 0700) and what is missing above it (0755), and syncs the folder each new name stands
/// in: a name is durable only when its folder is. The name of a folder that was there already is synced as well, since
/// the process that made it may have died before it did so; where that is not permitted it is left alone. Throws
/// failure.
inline void make_durable_folder(const std::string& path, mode_t mode = 0700) {
  auto above = detail::folder_above(path);
  bool made = ::mkdir(path.c_str(), mode) == 0;
  if (!made && errno == ENOENT && above != path) {
    make_durable_folder(above, 0755);
    made = ::mkdir(path.c_str(), mode) == 0;
  }
  struct stat now {};
  if (!made && (errno != EEXIST || ::stat(path.c_str(), &now) != 0 || !S_ISDIR(now.st_mode)))
    detail::fail_on_folder("making the folder", path);
  int fd = ::open(above.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0 && !made && errno == EACCES)
    return;
  if (fd < 0)
    detail::fail_on_folder("opening", above);
  int failed = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  // EINVAL, EROFS: a kind of file system on which a folder has nothing to sync, or one that cannot have changed.
  if (failed != 0 && !(failed == EINVAL || (failed == EROFS && !made))) {
    errno = failed;
    detail::fail_on_folder("syncing", above);
  }
}

} // namespace hedwig::sdk
