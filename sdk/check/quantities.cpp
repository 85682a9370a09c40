// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/quantities.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace hedwig::check {

namespace {

using unit = std::pair<std::string_view, std::int64_t>;

constexpr std::int64_t second = 1'000'000'000;
constexpr std::array durations{unit{"ms", second / 1000}, unit{"s", second}, unit{"m", 60 * second},
                               unit{"h", 3600 * second}, unit{"d", 86400 * second}};
constexpr std::array sizes{unit{"", 1},           unit{"B", 1},         unit{"KiB", 1 << 10},
                           unit{"MiB", 1 << 20},  unit{"GiB", 1 << 30}, unit{"KB", 1000},
                           unit{"MB", 1'000'000}, unit{"GB", second},   unit{"TiB", std::int64_t{1} << 40}};

template <class Units>
std::optional<std::int64_t> sum_of(std::string_view text, const Units& units) {
  std::int64_t total = 0;
  if (text.empty())
    return std::nullopt;
  while (!text.empty()) {
    std::int64_t number = 0;
    auto [rest, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (failed != std::errc{})
      return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(rest - text.data()));
    auto name = text.substr(0, text.find_first_of("0123456789"));
    auto* found = std::find_if(units.begin(), units.end(), [name](auto& one) { return one.first == name; });
    if (found == units.end())
      return std::nullopt;
    total += number * found->second;
    text.remove_prefix(name.size());
  }
  return total;
}

} // namespace

std::optional<std::int64_t> duration_of(std::string_view text) {
  return text == "0" ? std::optional<std::int64_t>{0} : sum_of(text, durations);
}
std::optional<std::int64_t> size_of(std::string_view text) { return sum_of(text, sizes); }

} // namespace hedwig::check
