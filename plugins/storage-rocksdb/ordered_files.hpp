// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rocksdb/file_system.h>

#include <memory>
#include <string>

namespace hedwig::storage_rocksdb {

/// The machine's file system, with one promise more: before a new CURRENT takes the place of the old, the names of all
/// files made so far are durable. The database counts on a directory whose changes reach the disk in order; where they
/// do not, a power cut could leave a CURRENT that names a file that is not there, and the database would not open.
/// For any thread.
class ordered_files final : public rocksdb::FileSystemWrapper {
public:
  ordered_files() : FileSystemWrapper{rocksdb::FileSystem::Default()} {}
  const char* Name() const override { return "hedwig.ordered_files"; }

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
