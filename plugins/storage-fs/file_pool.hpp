// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plugins/storage-fs/posix.hpp"

namespace hedwig::storage_fs {

/// The folder `free/`: temporary names for what is being written, and files of removed messages to be written over.
/// ext4 is slow on inodes just freed, so a removed file becomes the next message. Owned by the writer thread.
class file_pool {
public:
  /// A larger file is deleted, so that the pool keeps at most free_files times this.
  static constexpr std::uint64_t kept_size_max = 256 * 1024;

  struct file {
    std::string name; ///< relative to the spool
    unique_fd fd;
    bool reused = false;
  };

  void open(int base, std::size_t files_max);
  /// Empties the folder: what a crash left there is nobody's, and after one a file in it may still have another name.
  void clear();
  /// A file under a temporary name, mode 0600, open for writing; its old content must be cut off.
  file take();
  /// The file was not published; it may be taken again.
  void give_back(file one) noexcept;
  /// A free name to move a removed file to.
  std::string next_name();
  /// A file that was moved to `name`; call only after the folder it came from is synced.
  void add_removed(const std::string& name) noexcept;
  bool wants_more() const noexcept { return ready_.size() < files_max_; }

private:
  int base_ = -1;
  std::size_t files_max_ = 0;
  std::uint64_t next_ = 0;
  std::vector<std::string> ready_;
};

} // namespace hedwig::storage_fs
