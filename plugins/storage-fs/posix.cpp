// SPDX-License-Identifier: Apache-2.0
#include "plugins/storage-fs/posix.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include <sys/stat.h>

namespace hedwig::storage_fs {

namespace {

constexpr std::size_t worth_asking = 64 * 1024;

std::size_t left_in(int fd, std::uint64_t offset, const std::string& file) {
  struct stat found {};
  if (::fstat(fd, &found) != 0)
    throw_errno("reading", file);
  const auto size = static_cast<std::uint64_t>(found.st_size);
  return static_cast<std::size_t>(size - std::min(size, offset));
}

} // namespace

hedwig_status status_of_errno(int number) noexcept {
  return number == ENOSPC || number == EDQUOT ? HEDWIG_E_NO_SPACE : HEDWIG_E_IO;
}

void throw_errno(const char* doing, const std::string& file) {
  int number = errno;
  throw sdk::failure{status_of_errno(number), std::string{doing} + " " + file + ": " + std::strerror(number), file,
                     number};
}

void write_at(int fd, std::vector<iovec> parts, std::uint64_t offset, const std::string& file) {
  std::span<iovec> left{parts};
  while (!left.empty()) {
    auto count = std::min<std::size_t>(left.size(), IOV_MAX);
    auto wrote = ::pwritev(fd, left.data(), static_cast<int>(count), static_cast<off_t>(offset));
    if (wrote < 0 && errno == EINTR)
      continue;
    if (wrote < 0)
      throw_errno("writing", file);
    offset += static_cast<std::uint64_t>(wrote);
    auto rest = static_cast<std::size_t>(wrote);
    while (!left.empty() && rest >= left.front().iov_len) {
      rest -= left.front().iov_len;
      left = left.subspan(1);
    }
    if (rest != 0) {
      left.front().iov_base = static_cast<char*>(left.front().iov_base) + rest;
      left.front().iov_len -= rest;
    }
  }
}

std::size_t read_at(int fd, void* out, std::size_t size, std::uint64_t offset, const std::string& file) {
  std::size_t got = 0;
  while (got < size) {
    auto some = ::pread(fd, static_cast<char*>(out) + got, size - got, static_cast<off_t>(offset + got));
    if (some < 0 && errno == EINTR)
      continue;
    if (some < 0)
      throw_errno("reading", file);
    if (some == 0)
      break;
    got += static_cast<std::size_t>(some);
  }
  return got;
}

std::string read_text(int fd, std::size_t size, std::uint64_t offset, const std::string& file) {
  // A limit of 256 MiB must not cost 256 MiB where the file is short.
  std::string text(size > worth_asking ? std::min(size, left_in(fd, offset, file)) : size, '\0');
  size = text.size();
  text.resize(read_at(fd, text.data(), size, offset, file));
  return text;
}

void sync_file(int fd, const std::string& file) {
  if (::fsync(fd) != 0)
    throw_errno("syncing", file);
}

parallel_sync::~parallel_sync() { stop(); }

void parallel_sync::start() {
  stopping_ = false;
  for (int i = 0; i < threads; ++i)
    threads_.emplace_back([this] { work(); });
}

void parallel_sync::stop() noexcept {
  {
    std::lock_guard guard{mutex_};
    stopping_ = true;
  }
  wake_.notify_all();
  for (auto& one : threads_)
    one.join();
  threads_.clear();
}

int parallel_sync::run(std::span<const int> files) {
  if (files.size() < 2 || threads_.empty()) {
    for (int fd : files)
      if (::fsync(fd) != 0)
        return errno;
    return 0;
  }
  std::unique_lock guard{mutex_};
  files_ = files;
  next_ = finished_ = 0;
  failed_ = 0;
  wake_.notify_all();
  done_.wait(guard, [&] { return finished_ == files_.size(); });
  files_ = {};
  next_ = 0;
  return failed_;
}

void parallel_sync::work() {
  std::unique_lock guard{mutex_};
  for (;;) {
    wake_.wait(guard, [&] { return stopping_ || next_ < files_.size(); });
    if (stopping_)
      return;
    int fd = files_[next_++];
    guard.unlock();
    int number = ::fsync(fd) == 0 ? 0 : errno;
    guard.lock();
    if (number != 0 && failed_ == 0)
      failed_ = number;
    if (++finished_ == files_.size())
      done_.notify_one();
  }
}

} // namespace hedwig::storage_fs
