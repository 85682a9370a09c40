// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rocksdb/file_system.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>

namespace hedwig::storage_rocksdb {

/// A log of the database's, which sets aside disk space in moderate pieces. The database would take as much as a
/// memtable holds at once, also in a spool that is empty.
class log_writer final : public rocksdb::FSWritableFileOwnerWrapper {
public:
  static constexpr std::size_t piece_max = 4 * 1024 * 1024;
  using FSWritableFileOwnerWrapper::FSWritableFileOwnerWrapper;
  void SetPreallocationBlockSize(std::size_t size) override {
    FSWritableFileOwnerWrapper::SetPreallocationBlockSize(std::min(size, piece_max));
  }
};

/// The machine's file system, with two differences. Before a new CURRENT takes the place of the old, the names of all
/// files made so far are durable. The database counts on a directory whose changes reach the disk in order; where they
/// do not, a power cut could leave a CURRENT that names a file that is not there, and the database would not open.
/// And see log_writer. For any thread.
class ordered_files final : public rocksdb::FileSystemWrapper {
public:
  ordered_files() : FileSystemWrapper{rocksdb::FileSystem::Default()} {}
  const char* Name() const override { return "hedwig.ordered_files"; }

  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* made,
                                    rocksdb::IODebugContext* debug) override {
    auto status = FileSystemWrapper::NewWritableFile(path, options, made, debug);
    if (status.ok() && path.ends_with(".log"))
      *made = std::make_unique<log_writer>(std::move(*made));
    return status;
  }

  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override {
    if (to.ends_with("/CURRENT"))
      if (auto status = sync_folder(to.substr(0, to.rfind('/')), options, debug); !status.ok())
        return status;
    return FileSystemWrapper::RenameFile(from, to, options, debug);
  }

private:
  rocksdb::IOStatus sync_folder(const std::string& path, const rocksdb::IOOptions& options,
                                rocksdb::IODebugContext* debug) {
    std::unique_ptr<rocksdb::FSDirectory> folder;
    auto status = NewDirectory(path, options, &folder, debug);
    return status.ok() ? folder->Fsync(options, debug) : status;
  }
};

} // namespace hedwig::storage_rocksdb
