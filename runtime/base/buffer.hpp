// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/base.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hedwig {

/// Owns one reference of an SDK buffer: immutable, reference-counted bytes that cross the plugin ABI as they are.
/// Retaining and releasing is legal on every thread.
class buffer {
public:
  buffer() noexcept = default;
  /// Takes over one reference.
  explicit buffer(hedwig_buf* raw) noexcept : raw_{raw} {}
  buffer(const buffer& other) noexcept;
  buffer(buffer&& other) noexcept : raw_{other.release()} {}
  buffer& operator=(buffer other) noexcept {
    std::swap(raw_, other.raw_);
    return *this;
  }
  ~buffer();

  /// New memory of `size` bytes, aligned to 4 KiB from 4 KiB up; `*data` may be written until the buffer is shared.
  [[nodiscard]] static buffer allocate(std::size_t size, std::uint8_t** data);
  /// Memory of someone else; `drop(context)` is called once, on any thread, when the last reference goes.
  [[nodiscard]] static buffer wrap(const std::uint8_t* data, std::size_t size, void (*drop)(void*), void* context);

  [[nodiscard]] hedwig_buf* raw() const noexcept { return raw_; }
  [[nodiscard]] explicit operator bool() const noexcept { return raw_ != nullptr; }
  /// Gives up the reference to the caller.
  [[nodiscard]] hedwig_buf* release() noexcept { return std::exchange(raw_, nullptr); }

private:
  hedwig_buf* raw_ = nullptr;
};

/// The two operations the plugin host hands out; null is legal.
void buffer_retain(hedwig_buf* raw) noexcept;
void buffer_release(hedwig_buf* raw) noexcept;
/// Bytes that all living buffers made with allocate() hold, for the memory metrics.
[[nodiscard]] std::size_t buffer_bytes_live() noexcept;

/// A window into a buffer that keeps it alive.
class slice {
public:
  slice() noexcept = default;
  slice(buffer owner, std::string_view window) noexcept : owner_{std::move(owner)}, window_{window} {}
  /// Copies `text` into a buffer of its own.
  [[nodiscard]] static slice copy_of(std::string_view text);

  [[nodiscard]] std::string_view view() const noexcept { return window_; }
  [[nodiscard]] std::size_t size() const noexcept { return window_.size(); }
  [[nodiscard]] const buffer& owner() const noexcept { return owner_; }
  [[nodiscard]] slice sub(std::size_t offset, std::size_t count = std::string_view::npos) const {
    return {owner_, window_.substr(offset, count)};
  }

private:
  buffer owner_;
  std::string_view window_;
};

/// A message body or other long text as a list of slices: prefixing and sharing cost no copy.
class rope {
public:
  void append(slice part);
  void append_copy(std::string_view text) { append(slice::copy_of(text)); }
  void prepend(slice part);
  void append(const rope& other);

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::span<const slice> parts() const noexcept { return parts_; }
  /// One contiguous copy; for tests and short texts.
  [[nodiscard]] std::string flatten() const;

private:
  std::vector<slice> parts_;
  std::size_t size_ = 0;
};

} // namespace hedwig
