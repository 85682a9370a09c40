// SPDX-License-Identifier: Apache-2.0
// Host names, domain patterns and the names of keys.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "runtime/base/ascii.hpp"
#include "runtime/config/values.hpp"
#include "runtime/telemetry/log.hpp"

namespace hedwig::config {
namespace {

constexpr std::size_t name_size_max = 253; // RFC 1035 section 2.3.4, as text
constexpr std::size_t label_size_max = 63;

std::string lowered(std::string_view text) {
  std::string out{text};
  std::transform(out.begin(), out.end(), out.begin(), ascii::lower);
  return out;
}

bool label_is_good(std::string_view label) noexcept {
  if (label.empty() || label.size() > label_size_max || label.front() == '-' || label.back() == '-')
    return false;
  return std::all_of(label.begin(), label.end(), [](char c) { return ascii::is_alnum(c) || c == '-' || c == '_'; });
}

bool labels_are_good(std::string_view name) noexcept {
  for (;;) {
    const auto dot = name.find('.');
    if (!label_is_good(name.substr(0, dot)))
      return false;
    if (dot == name.npos)
      return true;
    name.remove_prefix(dot + 1);
  }
}

// Edits (insert, delete, replace, swap neighbours) between two short names.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> above(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(above.begin(), above.end(), 0u);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, above);
    std::swap(above, row);
  }
  return above[b.size()];
}

} // namespace

parsed<std::string> parse_hostname(std::string_view text) {
  const auto name = text.ends_with('.') ? text.substr(0, text.size() - 1) : text;
  if (name.empty() || name.size() > name_size_max || !labels_are_good(name))
    return std::unexpected{
        std::string{"is no host name: write letters, digits, hyphens and dots, such as \"mail.example.com\""}};
  return lowered(name);
}

parsed<std::string> parse_domain_pattern(std::string_view text) {
  if (text == "*")
    return std::string{"*"};
  const bool below = text.starts_with("*.");
  auto name = parse_hostname(below ? text.substr(2) : text);
  if (!name)
    return std::unexpected{
        std::string{"is no domain: write \"example.com\", \"*.example.com\" for its subdomains, or \"*\""}};
  return below ? "*." + *name : *name;
}

bool domain_matches(std::string_view pattern, std::string_view domain) noexcept {
  if (pattern == "*")
    return true;
  if (domain.ends_with('.'))
    domain.remove_suffix(1);
  if (!pattern.starts_with("*."))
    return ascii::equal_ignoring_case(pattern, domain);
  const auto tail = pattern.substr(1); // with its dot
  return domain.size() > tail.size() && ascii::equal_ignoring_case(tail, domain.substr(domain.size() - tail.size()));
}

std::optional<std::string_view> nearest_name(std::string_view name, std::span<const std::string_view> known) {
  if (name.empty() || name.size() > 64)
    return {};
  const auto wanted = lowered(name);
  std::optional<std::string_view> best;
  std::size_t best_distance = (name.size() + 2) / 3 + 1;
  for (const auto candidate : known)
    if (const auto distance = edit_distance(wanted, lowered(candidate)); distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  return best;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  telemetry::append_escaped(out, text, 60);
  return out += '"';
}

} // namespace hedwig::config
