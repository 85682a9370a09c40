// SPDX-License-Identifier: Apache-2.0
#include "plugins/storage-fs/file_pool.hpp"

#include <filesystem>

#include <dirent.h>
#include <fcntl.h>

namespace hedwig::storage_fs {

void file_pool::open(int base, std::size_t files_max) {
  base_ = base;
  files_max_ = files_max;
  ready_.reserve(files_max);
  clear();
}

void file_pool::clear() {
  ready_.clear();
  int fd = ::openat(base_, "free", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  auto* folder = fd >= 0 ? ::fdopendir(fd) : nullptr;
  if (folder == nullptr)
    throw_errno("opening", "free");
  while (auto* one = ::readdir(folder))
    if (one->d_name[0] != '.')
      ::unlinkat(base_, (std::string{"free/"} + one->d_name).c_str(), 0);
  ::closedir(folder);
}

std::string file_pool::next_name() { return "free/" + std::to_string(++next_); }

file_pool::file file_pool::take() {
  file one;
  one.reused = !ready_.empty();
  if (one.reused) {
    one.name = std::move(ready_.back());
    ready_.pop_back();
  } else {
    one.name = next_name();
  }
  one.fd = unique_fd{::openat(base_, one.name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)};
  if (!one.fd)
    throw_errno("making", one.name);
  return one;
}

void file_pool::give_back(file one) noexcept {
  // Cut off at once: the failure may have been a full disk.
  if (wants_more() && ::ftruncate(one.fd.get(), 0) == 0)
    ready_.push_back(std::move(one.name));
  else
    ::unlinkat(base_, one.name.c_str(), 0);
}

void file_pool::add_removed(const std::string& name) noexcept {
  if (wants_more())
    ready_.push_back(name);
  else
    ::unlinkat(base_, name.c_str(), 0);
}

} // namespace hedwig::storage_fs
