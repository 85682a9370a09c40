// SPDX-License-Identifier: Apache-2.0
// Times and sizes as people write them.
#include <fmt/format.h>

#include <array>
#include <charconv>

#include "runtime/config/values.hpp"

namespace hedwig::config {
namespace {

using namespace std::chrono_literals;

struct unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::uint64_t second_ns = 1'000'000'000;
constexpr std::uint64_t duration_max = second_ns * 86400 * 36525; // 100 years; fits 63 bits

// The long names are those that Hedwig 0.10 read.
constexpr std::array duration_units{unit{"ms", 1'000'000},
                                    unit{"msec", 1'000'000},
                                    unit{"s", second_ns},
                                    unit{"sec", second_ns},
                                    unit{"secs", second_ns},
                                    unit{"second", second_ns},
                                    unit{"seconds", second_ns},
                                    unit{"m", 60 * second_ns},
                                    unit{"min", 60 * second_ns},
                                    unit{"mins", 60 * second_ns},
                                    unit{"minute", 60 * second_ns},
                                    unit{"minutes", 60 * second_ns},
                                    unit{"h", 3600 * second_ns},
                                    unit{"hr", 3600 * second_ns},
                                    unit{"hrs", 3600 * second_ns},
                                    unit{"hour", 3600 * second_ns},
                                    unit{"hours", 3600 * second_ns},
                                    unit{"d", 86400 * second_ns},
                                    unit{"day", 86400 * second_ns},
                                    unit{"days", 86400 * second_ns},
                                    unit{"w", 7 * 86400 * second_ns},
                                    unit{"week", 7 * 86400 * second_ns},
                                    unit{"weeks", 7 * 86400 * second_ns}};

constexpr std::array size_units{unit{"", 1},
                                unit{"B", 1},
                                unit{"K", 1u << 10},
                                unit{"KiB", 1u << 10},
                                unit{"M", 1u << 20},
                                unit{"MiB", 1u << 20},
                                unit{"G", 1u << 30},
                                unit{"GiB", 1u << 30},
                                unit{"T", 1ull << 40},
                                unit{"TiB", 1ull << 40},
                                unit{"kB", 1000},
                                unit{"KB", 1000},
                                unit{"MB", 1'000'000},
                                unit{"GB", 1'000'000'000},
                                unit{"TB", 1'000'000'000'000}};
constexpr std::uint64_t size_max = 1ull << 60;

constexpr std::string_view duration_hint = "write a time such as \"30s\", \"5m\", \"1h30m\" or \"5d\"";
constexpr std::string_view size_hint = "write a size such as 26214400, \"64KiB\" or \"25MiB\"";

template <std::size_t Size>
const unit* unit_named(const std::array<unit, Size>& units, std::string_view name) {
  for (const auto& one : units)
    if (one.name == name)
      return &one;
  return nullptr;
}

void skip_spaces(std::string_view& text) {
  while (!text.empty() && text.front() == ' ')
    text.remove_prefix(1);
}

/// Takes digits off the front; nothing when there are none or too many.
std::optional<std::uint64_t> take_number(std::string_view& text) {
  std::uint64_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc{})
    return {};
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

std::string_view take_letters(std::string_view& text) {
  std::size_t length = 0;
  while (length < text.size() && ((text[length] | 0x20) >= 'a' && (text[length] | 0x20) <= 'z'))
    ++length;
  const auto letters = text.substr(0, length);
  text.remove_prefix(length);
  return letters;
}

parsed<std::uint64_t> take_duration_part(std::string_view& rest, std::uint64_t total) {
  const auto number = take_number(rest);
  if (!number)
    return std::unexpected{fmt::format("is no time: {}", duration_hint)};
  skip_spaces(rest);
  const auto name = take_letters(rest);
  if (name.empty() && (*number != 0 || !rest.empty()))
    return std::unexpected{fmt::format("has no unit: write \"{}s\", or another unit of ms, s, m, h, d, w", *number)};
  const auto* found = name.empty() ? &duration_units[0] : unit_named(duration_units, name);
  if (!found)
    return std::unexpected{fmt::format("has the unknown unit {}: use ms, s, m, h, d or w", quoted(name))};
  if (*number > duration_max / found->factor || total > duration_max - *number * found->factor)
    return std::unexpected{std::string{"is more than 100 years: write less"}};
  return total + *number * found->factor;
}

} // namespace

parsed<duration> parse_duration(std::string_view text) {
  std::string_view rest = text;
  std::uint64_t total = 0;
  do {
    skip_spaces(rest);
    const auto next = take_duration_part(rest, total);
    if (!next)
      return std::unexpected{next.error()};
    total = *next;
    skip_spaces(rest);
  } while (!rest.empty());
  return duration{static_cast<std::int64_t>(total)};
}

std::string to_text(duration value) {
  constexpr std::array shown{unit{"w", 604800 * second_ns}, unit{"d", 86400 * second_ns}, unit{"h", 3600 * second_ns},
                             unit{"m", 60 * second_ns},     unit{"s", second_ns},         unit{"ms", 1'000'000}};
  auto rest = static_cast<std::uint64_t>(value.count());
  for (const auto& one : shown)
    if (rest != 0 && rest % one.factor == 0)
      return fmt::format("{}{}", rest / one.factor, one.name);
  std::string out;
  for (const auto& one : shown)
    if (rest >= one.factor) {
      out += fmt::format("{}{}", rest / one.factor, one.name);
      rest %= one.factor;
    }
  return out.empty() ? "0s" : out;
}

parsed<std::uint64_t> parse_size(std::string_view text) {
  std::string_view rest = text;
  const auto number = take_number(rest);
  if (!number)
    return std::unexpected{fmt::format("is no size: {}", size_hint)};
  skip_spaces(rest);
  const auto name = take_letters(rest);
  const auto* found = unit_named(size_units, name);
  if (!found || !rest.empty())
    return std::unexpected{fmt::format("has an unknown unit: {}", size_hint)};
  if (*number > size_max / found->factor)
    return std::unexpected{std::string{"is more than an exbibyte: write less"}};
  return *number * found->factor;
}

} // namespace hedwig::config
