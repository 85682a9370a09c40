// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <array>
#include <cstdlib>

#include "runtime/telemetry/log.hpp"

namespace hedwig::telemetry {
namespace {

constexpr std::array<std::string_view, 6> level_names{"trace", "debug", "info", "warn", "error", "off"};
constexpr std::array<std::string_view, component_count> component_names{
    "main",   "supervisor", "config",  "net",    "listener",   "session",     "authenticator",
    "filter", "spooler",    "storage", "signer", "dispatcher", "destination", "delivery",
    "retry",  "resolver",   "bouncer", "admin",  "plugin",     "sink",        "cluster"};

template <std::size_t Size>
std::string joined(const std::array<std::string_view, Size>& names) {
  std::string out;
  for (const auto name : names)
    out.append(out.empty() ? "" : ", ").append(name);
  return out;
}

template <std::size_t Size>
int index_of(const std::array<std::string_view, Size>& names, std::string_view name) noexcept {
  for (std::size_t at = 0; at < Size; ++at)
    if (names[at] == name)
      return static_cast<int>(at);
  return -1;
}

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && text.front() == ' ')
    text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ')
    text.remove_suffix(1);
  return text;
}

error complaint(std::string_view what, std::string_view got, const std::string& known) {
  std::string shown;
  append_escaped(shown, got, 60);
  return {HEDWIG_E_INVALID, fmt::format("unknown log {} \"{}\": write one of {}", what, shown, known), "", 0};
}

result<level> parse_level(std::string_view text) {
  const int found = index_of(level_names, text);
  if (found < 0)
    return std::unexpected{complaint("level", text, joined(level_names))};
  return static_cast<level>(found);
}

result<void> add_part(level_filter& filter, std::string_view part) {
  const auto equals = part.find('=');
  const auto value = parse_level(trimmed(equals == part.npos ? part : part.substr(equals + 1)));
  if (!value)
    return std::unexpected{value.error()};
  if (equals == part.npos) {
    filter.fallback = *value;
    return {};
  }
  const auto name = trimmed(part.substr(0, equals));
  const int found = index_of(component_names, name);
  if (found < 0)
    return std::unexpected{complaint("component", name, joined(component_names))};
  filter.exceptions[static_cast<component>(found)] = *value;
  return {};
}

} // namespace

std::string_view to_string_view(level value) noexcept { return level_names[static_cast<std::size_t>(value)]; }
std::string_view to_string_view(component value) noexcept { return component_names[static_cast<std::size_t>(value)]; }

level level_filter::of(component part) const noexcept {
  const auto found = exceptions.find(part);
  return found == exceptions.end() ? fallback : found->second;
}

std::string level_filter::text() const {
  std::string out{to_string_view(fallback)};
  for (const auto& [part, value] : exceptions)
    out += fmt::format(",{}={}", to_string_view(part), to_string_view(value));
  return out;
}

result<level_filter> parse_level_filter(std::string_view text) {
  level_filter filter;
  std::string_view rest = text;
  for (bool more = true; more;) {
    const auto comma = rest.find(',');
    if (auto done = add_part(filter, trimmed(rest.substr(0, comma))); !done)
      return std::unexpected{done.error()};
    more = comma != rest.npos;
    rest.remove_prefix(more ? comma + 1 : rest.size());
  }
  return filter;
}

result<level_filter> level_filter_from_environment(std::string_view configured) {
  const char* set = std::getenv("HEDWIG_LOG_LEVEL");
  if (!set || !*set)
    return parse_level_filter(configured);
  auto filter = parse_level_filter(set);
  if (!filter)
    filter.error().where = "HEDWIG_LOG_LEVEL";
  return filter;
}

} // namespace hedwig::telemetry
