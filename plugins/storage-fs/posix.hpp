// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/plugin.hpp>

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <sys/uio.h>
#include <unistd.h>

namespace hedwig::storage_fs {

/// Owns a descriptor.
class unique_fd {
public:
  explicit unique_fd(int fd = -1) noexcept : fd_{fd} {}
  unique_fd(unique_fd&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
  unique_fd& operator=(unique_fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~unique_fd() {
    if (fd_ >= 0)
      ::close(fd_);
  }
  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }

private:
  int fd_;
};

/// NO_SPACE for a full disk or quota, else IO; the text says what was tried with which file.
[[noreturn]] void throw_errno(const char* doing, const std::string& file);
hedwig_status status_of_errno(int number) noexcept;

/// All of `parts` from `offset` on; throws.
void write_at(int fd, std::vector<iovec> parts, std::uint64_t offset, const std::string& file);
/// Up to `size` bytes; fewer only at the end of the file. Throws.
std::size_t read_at(int fd, void* out, std::size_t size, std::uint64_t offset, const std::string& file);
std::string read_text(int fd, std::size_t size, std::uint64_t offset, const std::string& file);
void sync_file(int fd, const std::string& file);

/// Syncs many files at once, for a spool that shares its file system with others. Owned by the writer thread.
class parallel_sync {
public:
  static constexpr int threads = 8;
  ~parallel_sync();
  void start();
  void stop() noexcept;
  /// Returns the first errno, or 0 when all are on disk.
  int run(std::span<const int> files);

private:
  void work();
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable done_;
  std::span<const int> files_;
  std::size_t next_ = 0;
  std::size_t finished_ = 0;
  int failed_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

} // namespace hedwig::storage_fs
