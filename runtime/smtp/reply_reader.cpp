// SPDX-License-Identifier: Apache-2.0
#include "runtime/smtp/reply_reader.hpp"

#include <algorithm>
#include <utility>

#include "runtime/base/ascii.hpp"
#include "runtime/mail/dsn_text.hpp"

namespace hedwig::smtp {
namespace {

constexpr std::size_t code_digits = 3;

/// One to three digits without a leading zero (RFC 3463 section 2); moves `text` past them.
std::optional<std::uint16_t> take_number(std::string_view& text) {
  std::uint16_t value = 0;
  std::size_t count = 0;
  while (count < text.size() && count < 4 && ascii::is_digit(text[count]))
    value = static_cast<std::uint16_t>(value * 10 + (text[count++] - '0'));
  if (count == 0 || count > 3 || (count > 1 && text.front() == '0'))
    return std::nullopt;
  text.remove_prefix(count);
  return value;
}

bool take_dot(std::string_view& text) {
  if (!text.starts_with('.'))
    return false;
  text.remove_prefix(1);
  return true;
}

} // namespace

std::optional<enhanced_status> parse_enhanced_status(std::string_view text, std::size_t* length) noexcept {
  const std::size_t size = text.size();
  const auto reply_class = take_number(text);
  if (!reply_class || (*reply_class != 2 && *reply_class != 4 && *reply_class != 5) || !take_dot(text))
    return std::nullopt;
  const auto subject = take_number(text);
  if (!subject || !take_dot(text))
    return std::nullopt;
  const auto detail = take_number(text);
  if (!detail || (!text.empty() && text.front() != ' '))
    return std::nullopt;
  if (length != nullptr)
    *length = size - text.size();
  return enhanced_status{*reply_class, *subject, *detail};
}

reply_reader::progress reply_reader::feed(std::string_view& bytes) {
  if (!problem_.empty())
    return progress::malformed;
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::size_t count = end == std::string_view::npos ? bytes.size() : end + 1;
    // Whichever limit comes first in the bytes, however they were cut.
    const std::size_t line_room = limits_.line_max - line_.size();
    const std::size_t reply_room = limits_.bytes_max - reply_bytes_;
    if (count > std::min(line_room, reply_room))
      return fail(line_room <= reply_room ? "a line of the reply is too long" : "the reply is too long");
    line_ += bytes.substr(0, count);
    reply_bytes_ += count;
    bytes.remove_prefix(count);
    if (end == std::string_view::npos)
      break;
    if (const progress p = end_of_line(); p != progress::need_more)
      return p;
  }
  return progress::need_more;
}

reply_reader::progress reply_reader::end_of_line() {
  std::string_view line = line_;
  line.remove_suffix(1);
  if (line.ends_with('\r'))
    line.remove_suffix(1);
  if (++line_count_ > limits_.lines_max)
    return fail("the reply has too many lines");
  if (!take_line(line))
    return progress::malformed;
  line_.clear();
  if (!last_line_)
    return progress::need_more;
  finish();
  return progress::complete;
}

/// RFC 5321 4.2: three digits, then '-' when more lines follow, else a space or nothing.
bool reply_reader::take_line(std::string_view line) {
  if (line.size() < code_digits || !std::all_of(line.begin(), line.begin() + code_digits, ascii::is_digit)) {
    fail("a line of the reply does not begin with a code");
    return false;
  }
  const int code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
  if (code < 200 || code > 599) {
    fail("the code of the reply is not between 200 and 599");
    return false;
  }
  if (line_count_ > 1 && code != reply_.code) {
    fail("the lines of the reply have different codes");
    return false;
  }
  const char separator = line.size() > code_digits ? line[code_digits] : ' ';
  if (separator != ' ' && separator != '-') {
    fail("neither a space nor a hyphen follows the code of the reply");
    return false;
  }
  last_line_ = separator == ' ';
  reply_.code = code;
  line.remove_prefix(std::min(line.size(), code_digits + 1));
  reply_.lines.push_back(mail::sanitise_peer_text(line, limits_.text_max));
  return true;
}

/// The enhanced code stands in every line (RFC 2034 section 4); the first line's counts.
void reply_reader::finish() {
  std::string joined;
  for (std::size_t i = 0; i < reply_.lines.size() && joined.size() <= limits_.text_max; ++i) {
    std::string_view line = reply_.lines[i];
    std::size_t length = 0;
    const auto status = parse_enhanced_status(line, &length);
    if (status && status->status_class == reply_.reply_class()) {
      if (i == 0)
        reply_.status = *status;
      line.remove_prefix(std::min(length + 1, line.size()));
    }
    if (!joined.empty() && !line.empty())
      joined += ' ';
    joined += line;
  }
  reply_.text = mail::sanitise_peer_text(joined, limits_.text_max);
}

reply_reader::progress reply_reader::fail(std::string_view problem) {
  problem_ = problem;
  return progress::malformed;
}

server_reply reply_reader::take() {
  server_reply reply = std::move(reply_);
  reset();
  return reply;
}

void reply_reader::reset() {
  line_.clear();
  reply_ = {};
  reply_bytes_ = 0;
  line_count_ = 0;
  problem_ = {};
  last_line_ = false;
}

} // namespace hedwig::smtp
