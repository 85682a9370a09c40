// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/base.h>

#include <compare>
#include <cstddef>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/base/clock.hpp"

namespace hedwig {

/// Names one message for its whole life: 8 bytes of big-endian receipt time in nanoseconds, then 8 random ones, so that
/// byte order is time order. As text: 26 characters of Crockford's base32, as a ULID is written.
/// WARNING: the 16 bytes are keys on disk and the text is in file names; neither may change.
struct message_id {
  hedwig_msg_id raw{};

  /// Unique over threads and restarts: `random` is 8 bytes from a good source, `now` moves the front.
  [[nodiscard]] static message_id make(wall_time now, std::uint64_t random) noexcept;
  /// Reads the 26 characters, lower case too; ULIDs written by Hedwig 0.10 included.
  [[nodiscard]] static std::optional<message_id> parse(std::string_view text) noexcept;
  [[nodiscard]] std::string text() const;

  friend bool operator==(const message_id& a, const message_id& b) noexcept {
    return std::memcmp(a.raw.bytes, b.raw.bytes, sizeof a.raw.bytes) == 0;
  }
  friend std::strong_ordering operator<=>(const message_id& a, const message_id& b) noexcept {
    return std::memcmp(a.raw.bytes, b.raw.bytes, sizeof a.raw.bytes) <=> 0;
  }
};

} // namespace hedwig

template <>
struct std::hash<hedwig::message_id> {
  std::size_t operator()(const hedwig::message_id& id) const noexcept {
    std::size_t front = 0;
    std::size_t back = 0;
    std::memcpy(&front, id.raw.bytes, sizeof front);
    std::memcpy(&back, id.raw.bytes + 8, sizeof back);
    return front ^ back;
  }
};
