// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hedwig::sink {

/// Finds CRLF.CRLF, and only that, in the bytes after 354, and takes the doubled dots away. Bytes may come in any cut.
class end_of_data {
public:
  /// Takes bytes off the front of `bytes`, up to the end of the message; true when that was reached. Appends the
  /// message to `out` as long as that is shorter than `keep_max`.
  bool feed(std::string_view& bytes, std::string& out, std::size_t keep_max);
  void reset() { *this = {}; }

  /// Bytes of the message so far, dots undone.
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  /// CRs and LFs that stood alone: nothing of a sound client.
  [[nodiscard]] std::uint64_t bare_line_ends() const noexcept { return bare_; }

private:
  enum class position : std::uint8_t { line_start, in_line, after_cr, after_dot, after_dot_cr };

  void keep(std::string_view text, std::string& out, std::size_t keep_max);
  std::size_t run(std::string_view bytes, std::string& out, std::size_t keep_max);

  position position_ = position::line_start;
  std::uint64_t size_ = 0;
  std::uint64_t bare_ = 0;
};

} // namespace hedwig::sink
