// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hedwig::fuzz {

/// What a fuzzer runs: one input, any bytes. A broken promise ends the process (demand()), as a sanitizer does.
using target = void (*)(std::string_view input);

struct named_target {
  std::string_view name; ///< of its folder too: tests/fuzz/NAME
  target run;
};

void base64(std::string_view input);
void client(std::string_view input);
void command(std::string_view input);
void data(std::string_view input);
void dns(std::string_view input);
void header(std::string_view input);
void metadata(std::string_view input);
void proxy(std::string_view input);
void reply(std::string_view input);
void sasl(std::string_view input);
void session(std::string_view input);
void tls(std::string_view input);

[[nodiscard]] std::span<const named_target> targets() noexcept;

/// Says what was promised and aborts, unless it holds.
void demand(bool holds, std::string_view promise);

/// Octets that steer a fuzzer, taken from the front; zeros where there are none left.
[[nodiscard]] inline std::uint8_t take_octet(std::string_view& input) noexcept {
  if (input.empty())
    return 0;
  auto first = static_cast<std::uint8_t>(input.front());
  input.remove_prefix(1);
  return first;
}

/// A part of a dialogue and what the owner does behind it. In an input each part ends with 0x1E and a letter; the last
/// one may lack both.
struct part {
  std::string_view bytes;
  char event = '\0';
};
[[nodiscard]] inline std::vector<part> parts_of(std::string_view input) {
  std::vector<part> parts;
  for (;;) {
    auto mark = input.find('\x1e');
    if (mark == std::string_view::npos || mark + 1 == input.size()) {
      parts.push_back({input.substr(0, mark), '\0'});
      return parts;
    }
    parts.push_back({input.substr(0, mark), input[mark + 1]});
    input.remove_prefix(mark + 2);
  }
}

/// How a stretch of bytes is divided. The first two need no luck.
inline constexpr unsigned cut_nowhere = 0;
inline constexpr unsigned cut_everywhere = 1;

/// Calls `take` with one piece after the other, none empty; other numbers than the two above choose the cuts.
template <class Take>
void in_pieces(std::string_view bytes, unsigned how, Take&& take) {
  std::minstd_rand random{how};
  while (!bytes.empty()) {
    std::size_t size = how == cut_nowhere      ? bytes.size()
                       : how == cut_everywhere ? 1
                                               : 1 + random() % (random() % 2 == 0 ? 5 : 200);
    auto piece = bytes.substr(0, size);
    bytes.remove_prefix(piece.size());
    // In memory of its own, so that a byte read behind it is seen.
    if (piece.size() == 1) {
      const char only = piece.front();
      take(std::string_view{&only, 1});
    } else {
      const std::vector<char> copy{piece.begin(), piece.end()};
      take(std::string_view{copy.data(), copy.size()});
    }
  }
}

} // namespace hedwig::fuzz
