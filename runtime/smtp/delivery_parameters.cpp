// SPDX-License-Identifier: Apache-2.0
#include "runtime/smtp/delivery_parameters.hpp"

#include "runtime/base/ascii.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace hedwig::smtp {

namespace {

std::optional<std::uint32_t> interval_of(std::string_view digits) noexcept {
  if (digits.empty() || digits.size() > interval_digits_max || !std::ranges::all_of(digits, ascii::is_digit))
    return std::nullopt;
  std::uint32_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

/// Takes fixed numbers and signs from the front of a date-time; wrong once something did not fit.
class date_time_reader {
public:
  explicit date_time_reader(std::string_view text) noexcept : rest_{text} {}

  int number(std::size_t digits) noexcept {
    auto text = rest_.substr(0, digits);
    auto value = text.size() == digits ? interval_of(text) : std::nullopt;
    wrong_ = wrong_ || !value;
    rest_.remove_prefix(text.size());
    return static_cast<int>(value.value_or(0));
  }
  bool take(char c) noexcept {
    if (rest_.empty() || ascii::lower(rest_.front()) != c)
      return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) noexcept { wrong_ = !take(c) || wrong_; }
  void skip_fraction() noexcept {
    if (!take('.'))
      return;
    auto end = std::min(rest_.find_first_not_of("0123456789"), rest_.size());
    wrong_ = wrong_ || end == 0;
    rest_.remove_prefix(end);
  }
  /// From UTC.
  std::chrono::minutes offset() noexcept {
    if (take('z'))
      return {};
    auto west = take('-');
    if (!west)
      expect('+');
    auto hours = number(2);
    expect(':');
    auto minutes = number(2);
    wrong_ = wrong_ || hours > 23 || minutes > 59;
    auto all = std::chrono::hours{hours} + std::chrono::minutes{minutes};
    return west ? -all : all;
  }
  [[nodiscard]] bool good() const noexcept { return !wrong_ && rest_.empty(); }

private:
  std::string_view rest_;
  bool wrong_ = false;
};

} // namespace

std::optional<int> parse_priority(std::string_view text) noexcept {
  auto digits = text.starts_with('-') ? text.substr(1) : text;
  if (digits.size() != 1 || !ascii::is_digit(digits.front()) || text == "-0")
    return std::nullopt;
  auto value = digits.front() - '0';
  return text.size() == 2 ? -value : value;
}

std::optional<deliver_by_request> parse_deliver_by(std::string_view text) noexcept {
  auto semicolon = std::min(text.find(';'), text.size());
  auto number = text.substr(0, semicolon);
  auto negative = number.starts_with('-');
  if (negative || number.starts_with('+'))
    number.remove_prefix(1);
  auto mode = text.substr(std::min(semicolon + 1, text.size()));
  auto seconds = interval_of(number);
  if (!seconds || mode.empty() || mode.size() > 2 || (mode.size() == 2 && ascii::lower(mode[1]) != 't'))
    return std::nullopt;
  auto letter = ascii::lower(mode[0]);
  deliver_by_request made{
      .within = std::chrono::seconds{*seconds}, .return_it = letter == 'r', .trace = mode.size() == 2};
  if (negative)
    made.within = -made.within;
  if ((letter != 'r' && letter != 'n') || (made.return_it && made.within <= std::chrono::seconds{0}))
    return std::nullopt;
  return made;
}

std::optional<std::chrono::seconds> parse_hold_for(std::string_view text) noexcept {
  auto seconds = interval_of(text);
  return seconds ? std::optional{std::chrono::seconds{*seconds}} : std::nullopt;
}

std::optional<wall_time> parse_date_time(std::string_view text) noexcept {
  date_time_reader in{text};
  auto year = in.number(4);
  in.expect('-');
  auto month = in.number(2);
  in.expect('-');
  auto day = in.number(2);
  in.expect('t');
  auto hour = in.number(2);
  in.expect(':');
  auto minute = in.number(2);
  in.expect(':');
  auto second = in.number(2);
  in.skip_fraction();
  auto offset = in.offset();
  std::chrono::year_month_day date{std::chrono::year{year}, std::chrono::month{static_cast<unsigned>(month)},
                                   std::chrono::day{static_cast<unsigned>(day)}};
  // Beyond these years the clock's nanoseconds overflow; the 60 is a leap second.
  if (!in.good() || !date.ok() || year < 1970 || year > 2200 || hour > 23 || minute > 59 || second > 60)
    return std::nullopt;
  return wall_time{std::chrono::sys_days{date}} + std::chrono::hours{hour} + std::chrono::minutes{minute} +
         std::chrono::seconds{second} - offset;
}

std::string date_time_text(wall_time when) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", std::chrono::floor<std::chrono::seconds>(when));
}

} // namespace hedwig::smtp
