// SPDX-License-Identifier: Apache-2.0
#include "admin/terminal_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

namespace hedwig::admin {

namespace {

struct code_point {
  char32_t value = 0;
  std::size_t size = 0; ///< octets; 0 when they are not well-formed UTF-8
};

code_point front_of(std::string_view text) noexcept {
  auto at = [&](std::size_t i) -> unsigned { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  auto lead = at(0);
  if (lead < 0x80)
    return {lead, 1};
  std::size_t size = lead >= 0xC2 && lead <= 0xDF   ? 2
                     : lead >= 0xE0 && lead <= 0xEF ? 3
                     : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                    : 0;
  char32_t value = size == 2 ? lead & 0x1FU : size == 3 ? lead & 0x0FU : lead & 0x07U;
  for (std::size_t i = 1; i < size; ++i) {
    if ((at(i) & 0xC0U) != 0x80U)
      return {};
    value = value << 6U | (at(i) & 0x3FU);
  }
  constexpr std::array<char32_t, 5> smallest{0, 0, 0x80, 0x800, 0x10000};
  auto surrogate = value >= 0xD800 && value <= 0xDFFF;
  return size == 0 || value < smallest[size] || surrogate || value > 0x10FFFF ? code_point{} : code_point{value, size};
}

struct range {
  char32_t first;
  char32_t last;
};

template <std::size_t Count>
bool is_in(const std::array<range, Count>& ranges, char32_t c) noexcept {
  return std::ranges::any_of(ranges, [c](auto& one) { return c >= one.first && c <= one.last; });
}

/// Controls, what is invisible, what turns the direction of writing, what ends a line, and noncharacters.
constexpr std::array unprintable{range{0x00, 0x1F},     range{0x7F, 0x9F},     range{0xAD, 0xAD},
                                 range{0x61C, 0x61C},   range{0x180E, 0x180E}, range{0x200B, 0x200F},
                                 range{0x2028, 0x202E}, range{0x2060, 0x206F}, range{0xFEFF, 0xFEFF},
                                 range{0xFFF0, 0xFFFB}, range{0xFFFE, 0xFFFF}, range{0xE0000, 0xE0FFF}};

constexpr std::array wide{range{0x1100, 0x115F},   range{0x2E80, 0x303E},  range{0x3041, 0xA4CF},
                          range{0xAC00, 0xD7A3},   range{0xF900, 0xFAFF},  range{0xFE30, 0xFE6F},
                          range{0xFF00, 0xFF60},   range{0xFFE0, 0xFFE6},  range{0x1F300, 0x1F64F},
                          range{0x1F900, 0x1F9FF}, range{0x20000, 0x3FFFD}};

std::size_t columns_of(const code_point& one) noexcept { return is_in(wide, one.value) ? 2 : 1; }

} // namespace

std::string escaped(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    auto one = front_of(text);
    auto size = std::max<std::size_t>(one.size, 1);
    if (one.size == 0)
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(text.front()));
    else if (one.value == '\\')
      out += "\\\\";
    else if (!is_in(unprintable, one.value))
      out += text.substr(0, size);
    else if (one.value < 0x80)
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned>(one.value));
    else
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(one.value));
    text.remove_prefix(size);
  }
  return out;
}

std::size_t width(std::string_view text) noexcept {
  std::size_t columns = 0;
  while (!text.empty()) {
    auto one = front_of(text);
    columns += columns_of(one);
    text.remove_prefix(std::max<std::size_t>(one.size, 1));
  }
  return columns;
}

std::string shortened(std::string_view text, std::size_t columns) {
  if (width(text) <= columns)
    return std::string{text};
  std::size_t used = 1; // of the ellipsis
  std::size_t kept = 0;
  while (kept < text.size()) {
    auto one = front_of(text.substr(kept));
    used += columns_of(one);
    if (used > columns)
      break;
    kept += std::max<std::size_t>(one.size, 1);
  }
  return std::string{text.substr(0, kept)} + "…";
}

std::string bytes_text(std::uint64_t bytes) {
  constexpr std::array units{"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024)
    return fmt::format("{} B", bytes);
  auto value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < units.size(); ++unit)
    value /= 1024;
  return fmt::format("{:.1f} {}", value, units[unit]);
}

std::string span_text(std::int64_t seconds) {
  seconds = std::max<std::int64_t>(seconds, 0);
  if (seconds < 60)
    return fmt::format("{}s", seconds);
  if (seconds < 3600)
    return fmt::format("{}m {}s", seconds / 60, seconds % 60);
  if (seconds < 86'400)
    return fmt::format("{}h {}m", seconds / 3600, seconds % 3600 / 60);
  return fmt::format("{}d {}h", seconds / 86'400, seconds % 86'400 / 3600);
}

std::string seconds_text(double seconds) {
  if (seconds > 0 && seconds < 0.0001)
    return fmt::format("{:.0f} us", seconds * 1e6);
  return seconds < 1 ? fmt::format("{:.1f} ms", seconds * 1000) : fmt::format("{:.1f} s", seconds);
}

} // namespace hedwig::admin
