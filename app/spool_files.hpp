// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/base/buffer.hpp"
#include "runtime/base/error.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace hedwig::app {

/// A file being written under another name until it is whole. Failures are kept for finish().
class file_writer {
public:
  explicit file_writer(std::filesystem::path path);
  ~file_writer();
  file_writer(const file_writer&) = delete;
  file_writer& operator=(const file_writer&) = delete;

  [[nodiscard]] result<void> write(std::string_view text);
  [[nodiscard]] result<void> write(const rope& text);
  /// On disk when it returns, under its name; what had that name is gone.
  [[nodiscard]] result<void> finish();

private:
  [[nodiscard]] std::string other_name() const { return path_.string() + ".part"; }

  std::filesystem::path path_;
  int fd_;
  int failed_ = 0;
};

/// INVALID above `size_max`.
[[nodiscard]] result<std::string> read_file(const std::filesystem::path& path, std::uint64_t size_max);
/// Names made, renamed or removed in the folder are on disk.
[[nodiscard]] result<void> sync_folder(const std::filesystem::path& folder);

} // namespace hedwig::app
