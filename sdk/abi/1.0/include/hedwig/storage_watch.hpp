// SPDX-License-Identifier: Apache-2.0
// hedwig/storage_watch.hpp - whether a store's folder and files are still those it opened.
#pragma once

#include <cerrno>
#include <string>
#include <string_view>
#include <vector>

#include <sys/stat.h>

namespace hedwig::sdk {

/// Names that must go on standing for what they stood for. What is deleted, or replaced by something of the same name,
/// lives on for whoever holds it open, and all that is written to it is gone with the process. Not for two threads at
/// once.
class name_watch {
public:
  void clear() noexcept { names_.clear(); }
  /// A name that stands for nothing is left out.
  void add(std::string path) {
    struct stat now {};
    if (::stat(path.c_str(), &now) == 0)
      names_.push_back({std::move(path), now.st_dev, now.st_ino});
  }
  /// The first name that stands for nothing any more, or for something else; empty: none does. What cannot be looked at
  /// is taken to be as it was.
  std::string_view changed() const noexcept {
    for (auto& one : names_) {
      struct stat now {};
      bool there = ::stat(one.path.c_str(), &now) == 0;
      if (there ? now.st_dev != one.device || now.st_ino != one.number : errno == ENOENT || errno == ENOTDIR)
        return one.path;
    }
    return {};
  }

private:
  struct name {
    std::string path;
    dev_t device;
    ino_t number;
  };
  std::vector<name> names_;
};

} // namespace hedwig::sdk
