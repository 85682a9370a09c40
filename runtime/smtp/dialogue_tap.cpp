// SPDX-License-Identifier: Apache-2.0
#include "runtime/smtp/dialogue_tap.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/base/ascii.hpp"
#include "runtime/smtp/command.hpp"
#include "runtime/smtp/sasl.hpp"

namespace hedwig::smtp {

namespace {

// Longer first words of what is no command may be anything.
constexpr std::size_t shown_word_max = 12;

std::string hidden(std::string_view text) {
  return text.empty() ? std::string{} : fmt::format(" <{} octets hidden>", text.size());
}

std::string_view behind_spaces(std::string_view text) noexcept {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  return text;
}

std::string shown_auth(std::string_view line) {
  auto rest = behind_spaces(line.substr(4));
  auto mechanism = rest.substr(0, rest.find(' '));
  std::string capitals;
  for (char c : mechanism.substr(0, shown_word_max * 2))
    capitals += c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  if (!question_of_mechanism(capitals))
    return "AUTH" + hidden(rest);
  return fmt::format("AUTH {}{}", capitals, hidden(behind_spaces(rest.substr(mechanism.size()))));
}

} // namespace

std::string shown_command(std::string_view line, bool after_auth) {
  auto verb = verb_of(line);
  if (verb == "AUTH")
    return shown_auth(line);
  if (!verb.empty())
    return std::string{line};
  auto word = line.substr(0, line.find(' '));
  auto is_letter = [](char c) { return ascii::is_alnum(c) && !ascii::is_digit(c); };
  if (after_auth || word.empty() || word.size() > shown_word_max || !std::ranges::all_of(word, is_letter))
    return fmt::format("<{} octets that are no command>", line.size());
  return std::string{word} + hidden(behind_spaces(line.substr(word.size())));
}

std::string shown_response(std::string_view line) {
  return line == "*" ? "*" : fmt::format("<{} octets hidden>", line.size());
}

std::string shown_reply(std::string_view line) {
  if (!line.starts_with("334 "))
    return std::string{line};
  return "334" + hidden(line.substr(4));
}

std::string shown_content(std::string_view what, std::uint64_t octets) {
  return fmt::format("<{} of {} octets>", what, octets);
}

} // namespace hedwig::smtp
