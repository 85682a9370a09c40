// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "runtime/base/buffer.hpp"

namespace hedwig::smtp {

/// What a bare CR or LF inside a message does. Neither mode lets anything but CR LF . CR LF end the message.
enum class line_endings : std::uint8_t {
  strict,    ///< the message is refused
  normalize, ///< it is stored as CR LF; it never begins a line that could end the message or carry a stuffed dot
};

/// Why a message cannot be stored; it is read to its end all the same. Of several the last in this order is told, so
/// that the answer does not depend on how the bytes were cut.
enum class data_fault : std::uint8_t { none, abandoned, line_too_long, nul, bare_line_end, too_big };

/// How the end of a message is told, and what its bytes may be.
enum class data_framing : std::uint8_t {
  dots,    ///< DATA: CR LF . CR LF ends it, and dots at line starts are stuffed
  counted, ///< BDAT (RFC 3030): finish() ends it; lines as under DATA, dots mean nothing
  binary,  ///< the same of BODY=BINARYMIME: any bytes, kept as they are
};

struct data_limits {
  std::size_t body_octets_max = 26'214'400;
  /// RFC 5321 says 998, and nobody keeps to it; longer ones are taken up to here and never cut.
  std::size_t line_octets_max = 64 * 1024;
  line_endings endings = line_endings::strict;
};

/// Octets of the first buffer of a body; each further one is twice as big, up to body_slice_octets_max.
inline constexpr std::size_t body_slice_octets_first = 4096;
inline constexpr std::size_t body_slice_octets_max = 64 * 1024;

/// Reads what follows 354 (RFC 5321 section 4.1.1.4) or BDAT: removes stuffed dots, finds the end, keeps the body in a
/// rope. Any division of the input gives the same body and fault, and BDAT what DATA would have given. One copy a byte,
/// no allocation but the buffers.
class data_reader {
public:
  explicit data_reader(const data_limits& limits, data_framing framing = data_framing::dots) noexcept
    : limits_{limits}, framing_{framing} {}

  /// Consumes up to the end of the message; all of `bytes` when it is not in there.
  [[nodiscard]] std::size_t feed(std::string_view bytes);
  /// BDAT: all of it was fed. A last line without its end gets one, as its client had given it under DATA.
  void finish();
  /// CR LF . CR LF was seen, or finish() called.
  [[nodiscard]] bool done() const noexcept { return state_ == state::done; }
  /// What is wrong, so far. What was held is gone then.
  [[nodiscard]] data_fault fault() const noexcept { return fault_; }
  /// Frees the body and only looks for the end from here on.
  void abandon() noexcept { fail(data_fault::abandoned); }
  /// The same, of a message that is announced to be too big.
  void refuse_size() noexcept { fail(data_fault::too_big); }

  /// Octets of the body so far, taken ones included.
  [[nodiscard]] std::uint64_t body_octets() const noexcept { return body_octets_; }
  /// Octets of memory that the body holds now, unused room included.
  [[nodiscard]] std::size_t held_octets() const noexcept { return held_octets_; }
  /// Octets of memory that the body holds at most after `count` more were fed.
  [[nodiscard]] std::size_t held_octets_after(std::size_t count) const noexcept;
  /// Octets read since the fault.
  [[nodiscard]] std::uint64_t swallowed_octets() const noexcept { return swallowed_octets_; }
  /// Hands over what is there and goes on with new buffers; for staging a body while it arrives.
  [[nodiscard]] rope take_body();

private:
  // Where the next byte stands. Only `line_start` is behind a true CR LF.
  enum class state : std::uint8_t { line_start, in_line, after_cr, dot, dot_cr, done };

  struct cursor;
  void at_line_start(cursor& at);
  void in_line(cursor& at);
  void after_cr(cursor& at);
  void after_dot(cursor& at);
  void after_dot_cr(cursor& at);
  void bare_line_end(std::string_view text);
  void keep(const char* from, const char* to);
  void keep_text(std::string_view text) { keep(text.data(), text.data() + text.size()); }
  void grow(std::size_t wanted);
  void seal();
  void fail(data_fault why) noexcept;

  data_limits limits_;
  data_framing framing_;
  state state_ = state::line_start;
  data_fault fault_ = data_fault::none;
  std::size_t line_octets_ = 0;
  std::uint64_t body_octets_ = 0;
  std::size_t held_octets_ = 0;
  std::uint64_t swallowed_octets_ = 0;
  rope body_;
  buffer current_;
  std::uint8_t* current_data_ = nullptr;
  std::size_t current_size_ = 0;
  std::size_t current_room_ = 0;
  std::size_t next_room_ = body_slice_octets_first;
};

} // namespace hedwig::smtp
