// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/smtp/reply.hpp"

namespace hedwig::smtp {

/// Reads a code of RFC 3463 ("5.1.1") at the front of `text` that is followed by a space or the end; `*length` gets the
/// bytes it took. Classes 2, 4 and 5 only; numbers of up to three digits without leading zeros.
[[nodiscard]] std::optional<enhanced_status> parse_enhanced_status(std::string_view text,
                                                                   std::size_t* length = nullptr) noexcept;

/// One whole reply of a server. Every text in it is sanitised (mail::sanitise_peer_text): fit for logs and headers.
struct server_reply {
  int code = 0; ///< 200..599
  /// What the server wrote, when it agrees with the first digit of `code`; otherwise empty.
  enhanced_status status;
  std::string text;               ///< all lines joined by spaces, codes taken off; at most reply_limits::text_max bytes
  std::vector<std::string> lines; ///< each line after code and separator, for EHLO

  [[nodiscard]] int reply_class() const noexcept { return code / 100; }
};

/// What a server may make us keep. RFC 5321 4.5.3.1.5 has 512 bytes for a line; real servers exceed it.
struct reply_limits {
  std::size_t line_max = 2048;       ///< bytes of one line with its end
  std::size_t lines_max = 128;       ///< lines of one reply
  std::size_t bytes_max = 32 * 1024; ///< bytes of one reply
  std::size_t text_max = 512;        ///< bytes of server_reply::text and of each of its lines
};

/// Incremental parser of replies (RFC 5321 4.2). A line ends at LF, with or without CR before it: unlike in mail data
/// nothing can be smuggled there, and old servers do it. All lines of a reply must carry the same code. Memory is
/// bounded by reply_limits whatever comes in. Thread: the owner's.
class reply_reader {
public:
  enum class progress : std::uint8_t { need_more, complete, malformed };

  explicit reply_reader(reply_limits limits = {}) : limits_{limits} {}

  /// Takes bytes off the front of `bytes`, never beyond the end of one reply. After `complete` fetch it with take();
  /// `malformed` is final until reset(), and problem() says why.
  progress feed(std::string_view& bytes);
  [[nodiscard]] server_reply take();
  /// A sentence for the log; holds nothing the peer said.
  [[nodiscard]] std::string_view problem() const noexcept { return problem_; }
  /// True between the first byte of a reply and its end.
  [[nodiscard]] bool in_reply() const noexcept { return reply_bytes_ != 0; }
  void reset();

private:
  bool take_line(std::string_view line);
  progress end_of_line();
  progress fail(std::string_view problem);
  void finish();

  reply_limits limits_;
  std::string line_;
  server_reply reply_;
  std::size_t reply_bytes_ = 0;
  std::size_t line_count_ = 0;
  std::string_view problem_;
  bool last_line_ = false;
};

} // namespace hedwig::smtp
