// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/base/buffer.hpp"

namespace hedwig::smtp {

/// Turns a stored message into what goes between 354 and the reply to the final dot, piece by piece and by reference:
/// dots at line starts are doubled (RFC 5321 4.5.2), the end gets CRLF where it is missing, then "." CRLF. A bare LF is
/// sent as CRLF and a bare CR as a space, so that no server, however lax with line ends, can see the end of data before
/// it is there; a NUL at a line start, which some servers drop, becomes a space too. Lines are never cut. Linear, no
/// copy, memory independent of the size. Of BODY=BINARYMIME, under BDAT, nothing is changed or added. Thread: the
/// owner's.
class body_writer {
public:
  body_writer() = default;
  /// With `more`, so many bytes follow by add().
  explicit body_writer(rope body, std::uint64_t more = 0, bool binary = false);

  /// The next bytes of a body that comes in parts; more than were announced are a broken invariant (panic).
  void add(rope part);
  /// Bytes that are announced and were not added yet.
  [[nodiscard]] std::uint64_t awaited() const noexcept { return awaited_; }
  /// Bytes that were added and not given out yet.
  [[nodiscard]] std::size_t waiting() const noexcept { return body_.size() - given_; }

  /// Appends pieces until `max_bytes` are out or the body is over; returns their bytes. Takes no more than `max_bytes`
  /// of the body a call; what it adds (dots, CRs, the end) can at most double that. Neighbouring pieces may overlap in
  /// memory: a doubled dot is the same dot twice. Gives 0 before the end where add() is awaited.
  std::size_t next(std::vector<slice>& out, std::size_t max_bytes);
  /// All has been given out, with the final dot.
  [[nodiscard]] bool done() const noexcept { return phase_ == phase::done; }

private:
  enum class phase : std::uint8_t { text, end, done };
  /// What the last byte given out means for the next one.
  enum class position : std::uint8_t { line_start, in_line, after_cr };

  std::size_t border(std::vector<slice>& out, const slice& part);
  std::size_t run(std::vector<slice>& out, const slice& part, std::size_t budget);
  std::size_t finish(std::vector<slice>& out);

  void drop_given();

  rope body_;
  std::uint64_t awaited_ = 0;
  bool binary_ = false;
  std::size_t given_ = 0; ///< of body_
  std::size_t part_ = 0;
  std::size_t offset_ = 0;
  phase phase_ = phase::done;
  position position_ = position::line_start;
};

} // namespace hedwig::smtp
