// SPDX-License-Identifier: Apache-2.0
#include "app/sink/script.hpp"
#include "runtime/base/ascii.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace hedwig::sink {
namespace {

constexpr std::array<std::string_view, 12> stage_names{"connect", "ehlo", "starttls", "handshake", "auth", "mail",
                                                       "rcpt",    "data", "body",     "dot",       "rset", "quit"};
constexpr std::uint32_t whole = 1'000'000;

std::unexpected<error> wrong_script(std::string_view option, std::string message) {
  return std::unexpected{error{HEDWIG_E_CONFIG, std::move(message), std::string{option}}};
}

template <class Number>
std::optional<Number> number(std::string_view text) {
  Number value{};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  return failure == std::errc{} && end == text.data() + text.size() ? std::optional{value} : std::nullopt;
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

} // namespace

std::string_view to_string_view(stage value) noexcept { return stage_names[static_cast<std::size_t>(value)]; }

bool matches_pattern(std::string_view pattern, std::string_view text) noexcept {
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;
  std::size_t retry = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      retry = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || ascii::lower(pattern[p]) == ascii::lower(text[t]))) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++retry;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
  const auto value = number<double>(text.substr(0, digits));
  const std::string_view unit = text.substr(digits);
  double factor = 0;
  if (unit == "ms")
    factor = 1;
  else if (unit == "s" || unit.empty())
    factor = 1000;
  else if (unit == "m")
    factor = 60'000;
  if (!value || factor == 0 || *value * factor > 86'400'000.0)
    return wrong_script("", fmt::format("'{}' is not a duration: write 250ms, 2s or 1m, at most a day", text));
  return std::chrono::milliseconds{std::llround(*value * factor)};
}

result<script::condition> script::parse_condition(std::string_view text, std::string_view option) {
  condition out;
  const std::size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  const auto found = std::find(stage_names.begin(), stage_names.end(), name == "helo" ? "ehlo" : name);
  if (found == stage_names.end())
    return wrong_script(option,
                        fmt::format("'{}' is not a stage: write one of {}", name, fmt::join(stage_names, ", ")));
  out.where = static_cast<stage>(found - stage_names.begin());
  if (colon == std::string_view::npos)
    return out;
  const std::string_view filter = text.substr(colon + 1);
  if (filter.empty())
    return wrong_script(option, "nothing follows the colon: write a share (10%) or a pattern (*@example.com)");
  if (!filter.ends_with('%')) {
    out.pattern = filter;
    return out;
  }
  const auto share = number<double>(filter.substr(0, filter.size() - 1));
  if (!share || *share < 0 || *share > 100)
    return wrong_script(option, fmt::format("'{}' is not a share: write 0% to 100%", filter));
  out.share = static_cast<std::uint32_t>(std::llround(*share / 100 * whole));
  return out;
}

result<void> script::add_reply(std::string_view text) {
  constexpr std::string_view option = "--reply";
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos)
    return wrong_script(option, fmt::format("'{}' has no code: write STAGE=CODE, such as rcpt=450", text));
  auto when = parse_condition(text.substr(0, equals), option);
  if (!when)
    return std::unexpected{when.error()};
  const std::string_view value = text.substr(equals + 1);
  const auto code = number<int>(value.substr(0, 3));
  if (!code || *code < 200 || *code > 599 || (value.size() > 3 && value[3] != ' ') || has_control(value))
    return wrong_script(option, fmt::format("'{}' is not a reply: write a code from 200 to 599 and a text", value));
  replies_.push_back({*when, {*code, value.size() > 4 ? std::string{value.substr(4)} : "scripted"}});
  return {};
}

result<void> script::add_delay(std::string_view text) {
  constexpr std::string_view option = "--delay";
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos)
    return wrong_script(option, fmt::format("'{}' has no duration: write STAGE=DURATION, such as dot=2s", text));
  auto when = parse_condition(text.substr(0, equals), option);
  auto duration = parse_duration(text.substr(equals + 1));
  if (!when)
    return std::unexpected{when.error()};
  if (!duration)
    return wrong_script(option, duration.error().message);
  delays_.push_back({*when, *duration});
  return {};
}

result<void> script::add_drop(std::string_view text) {
  auto when = parse_condition(text, "--drop");
  if (!when)
    return std::unexpected{when.error()};
  drops_.push_back(*when);
  return {};
}

bool script::matches(const condition& when, stage where, std::string_view subject) {
  if (when.where != where || (!when.pattern.empty() && !matches_pattern(when.pattern, subject)))
    return false;
  return when.share == whole || random_() % whole < when.share;
}

decision script::decide(stage where, std::string_view subject) {
  decision out;
  for (const condition& when : drops_)
    out.drop = out.drop || matches(when, where, subject);
  const auto delay =
      std::find_if(delays_.begin(), delays_.end(), [&](const auto& r) { return matches(r.when, where, subject); });
  if (delay != delays_.end())
    out.delay = delay->action;
  const auto reply =
      std::find_if(replies_.begin(), replies_.end(), [&](const auto& r) { return matches(r.when, where, subject); });
  if (reply != replies_.end())
    out.reply = reply->action;
  return out;
}

} // namespace hedwig::sink
