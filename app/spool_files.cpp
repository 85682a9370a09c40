// SPDX-License-Identifier: Apache-2.0
#include "app/spool_files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <utility>

namespace hedwig::app {

file_writer::file_writer(std::filesystem::path path) : path_{std::move(path)} {
  fd_ = ::open(other_name().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  failed_ = fd_ < 0 ? errno : 0;
}

file_writer::~file_writer() {
  if (fd_ < 0)
    return;
  ::close(fd_);
  ::unlink(other_name().c_str());
}

result<void> file_writer::write(std::string_view text) {
  while (failed_ == 0 && !text.empty()) {
    auto wrote = ::write(fd_, text.data(), text.size());
    if (wrote < 0 && errno != EINTR)
      failed_ = errno;
    text.remove_prefix(wrote < 0 ? 0 : static_cast<std::size_t>(wrote));
  }
  if (failed_ != 0)
    return std::unexpected{system_error(failed_, "write " + path_.string())};
  return {};
}

result<void> file_writer::write(const rope& text) {
  for (auto& part : text.parts())
    if (auto written = write(part.view()); !written)
      return written;
  return {};
}

result<void> file_writer::finish() {
  if (failed_ == 0 && ::fsync(fd_) != 0)
    failed_ = errno;
  if (failed_ == 0 && std::rename(other_name().c_str(), path_.c_str()) != 0)
    failed_ = errno;
  if (failed_ != 0)
    return std::unexpected{system_error(failed_, "write " + path_.string())};
  ::close(std::exchange(fd_, -1));
  return {};
}

result<std::string> read_file(const std::filesystem::path& path, std::uint64_t size_max) {
  std::error_code failed;
  auto size = std::filesystem::file_size(path, failed);
  if (failed)
    return std::unexpected{system_error(failed.value(), "read " + path.string())};
  if (size > size_max)
    return std::unexpected{error{HEDWIG_E_INVALID, "is too large", path.string(), 0}};
  std::ifstream in{path, std::ios::binary};
  std::string text(size, '\0');
  in.read(text.data(), static_cast<std::streamsize>(size));
  if (!in || static_cast<std::uint64_t>(in.gcount()) != size)
    return std::unexpected{error{HEDWIG_E_IO, "cannot be read", path.string(), 0}};
  return text;
}

result<void> sync_folder(const std::filesystem::path& folder) {
  auto fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  auto failed = fd < 0 || ::fsync(fd) != 0 ? errno : 0;
  if (fd >= 0)
    ::close(fd);
  if (failed != 0)
    return std::unexpected{system_error(failed, "sync " + folder.string())};
  return {};
}

} // namespace hedwig::app
