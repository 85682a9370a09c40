// SPDX-License-Identifier: Apache-2.0
#include "app/sink/end_of_data.hpp"

#include <algorithm>

namespace hedwig::sink {

void end_of_data::keep(std::string_view text, std::string& out, std::size_t keep_max) {
  size_ += text.size();
  if (out.size() < keep_max)
    out += text.substr(0, keep_max - out.size());
}

/// The rest of a line up to its CR; returns how many bytes it took, the CR included.
std::size_t end_of_data::run(std::string_view bytes, std::string& out, std::size_t keep_max) {
  const std::size_t cr = std::min(bytes.find('\r'), bytes.size());
  const std::string_view text = bytes.substr(0, cr);
  bare_ += static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
  keep(text, out, keep_max);
  position_ = cr == bytes.size() ? position::in_line : position::after_cr;
  return std::min(cr + 1, bytes.size());
}

bool end_of_data::feed(std::string_view& bytes, std::string& out, std::size_t keep_max) {
  while (!bytes.empty()) {
    const char c = bytes.front();
    std::size_t taken = 1;
    switch (position_) {
    case position::line_start:
      if (c == '.')
        position_ = position::after_dot; // kept back: the end, or a dot to take away
      else
        taken = run(bytes, out, keep_max);
      break;
    case position::in_line:
      taken = run(bytes, out, keep_max);
      break;
    case position::after_cr:
      if (c == '\n') {
        keep("\r\n", out, keep_max);
        position_ = position::line_start;
        break;
      }
      ++bare_;
      keep("\r", out, keep_max);
      taken = 0;
      position_ = position::in_line;
      break;
    case position::after_dot:
      if (c == '\r') {
        position_ = position::after_dot_cr;
        break;
      }
      taken = 0;
      position_ = position::in_line;
      break;
    case position::after_dot_cr:
      if (c == '\n') {
        bytes.remove_prefix(1);
        return true;
      }
      ++bare_;
      keep("\r", out, keep_max);
      taken = 0;
      position_ = position::in_line;
      break;
    }
    bytes.remove_prefix(taken);
  }
  return false;
}

} // namespace hedwig::sink
