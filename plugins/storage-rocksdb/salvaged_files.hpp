// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rocksdb/file_system.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

namespace hedwig::storage_rocksdb {

/// The machine's file system, but one file has another content: the MANIFEST, without the tables that cannot be opened.
/// So the database opens on what is left, for reading only, and nothing on disk is changed. For any thread.
class salvaged_files final : public rocksdb::FileSystemWrapper {
public:
  salvaged_files(std::string manifest, std::string content)
    : FileSystemWrapper{rocksdb::FileSystem::Default()}, manifest_{std::move(manifest)}, content_{std::move(content)} {}
  const char* Name() const override { return "hedwig.salvaged_files"; }

  rocksdb::IOStatus NewSequentialFile(const std::string& path, const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSSequentialFile>* made,
                                      rocksdb::IODebugContext* debug) override {
    if (!path.ends_with("/" + manifest_))
      return FileSystemWrapper::NewSequentialFile(path, options, made, debug);
    *made = std::make_unique<text_file>(content_);
    return rocksdb::IOStatus::OK();
  }

private:
  class text_file final : public rocksdb::FSSequentialFile {
  public:
    explicit text_file(const std::string& content) : content_{content} {}
    rocksdb::IOStatus Read(std::size_t size, const rocksdb::IOOptions&, rocksdb::Slice* got, char* memory,
                           rocksdb::IODebugContext*) override {
      size = std::min(size, content_.size() - at_);
      std::memcpy(memory, content_.data() + at_, size);
      *got = {memory, size};
      at_ += size;
      return rocksdb::IOStatus::OK();
    }
    rocksdb::IOStatus Skip(std::uint64_t size) override {
      at_ += std::min<std::size_t>(size, content_.size() - at_);
      return rocksdb::IOStatus::OK();
    }

  private:
    const std::string& content_; // of the file system, which outlives its files
    std::size_t at_ = 0;
  };

  std::string manifest_;
  std::string content_;
};

} // namespace hedwig::storage_rocksdb
