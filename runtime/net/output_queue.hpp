// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/base/buffer.hpp"

#include <sys/uio.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hedwig::net {

/// Bytes on their way out: short texts are copied and run together, slices are kept by reference. One stream's.
class output_queue {
public:
  void append(std::string_view text);
  void append(slice part);

  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// Of size(), what lies in memory of the queue's own.
  [[nodiscard]] std::size_t copied() const noexcept { return copied_; }
  /// Fills `out` with the first pieces; returns how many.
  [[nodiscard]] std::size_t gather(std::span<iovec> out) const noexcept;
  /// The first piece; empty when the queue is.
  [[nodiscard]] std::string_view front() const noexcept;
  /// Forgets the first `count` bytes.
  void consume(std::size_t count) noexcept;
  void clear() noexcept;

private:
  struct segment {
    std::string text; // where part has no bytes
    slice part;
    std::size_t done = 0;
    [[nodiscard]] bool is_copy() const noexcept { return part.size() == 0; }
    [[nodiscard]] std::string_view rest() const noexcept {
      return (is_copy() ? std::string_view{text} : part.view()).substr(done);
    }
  };

  /// Texts are run together up to this size, so that what was sent is freed piece by piece.
  static constexpr std::size_t run_together_max = 32 * 1024;

  void drop_sent() noexcept;

  std::vector<segment> segments_;
  std::size_t head_ = 0; // segments before it are sent
  std::size_t size_ = 0;
  std::size_t copied_ = 0;
};

} // namespace hedwig::net
