// SPDX-License-Identifier: Apache-2.0
#include "runtime/dkim/header.hpp"

#include <algorithm>

namespace hedwig::dkim {

namespace {

constexpr std::string_view section_end = "\r\n\r\n";

// Copies the message up to and with the empty line, in steps, so that a large body in the same slice stays where it is.
std::size_t copy_section(const rope& message, std::size_t size_max, std::string& text) {
  constexpr std::size_t step = 4096;
  for (auto& part : message.parts())
    for (auto rest = part.view(); !rest.empty() && text.size() <= size_max + section_end.size();) {
      auto from = text.size() - std::min(text.size(), section_end.size() - 1);
      text.append(rest.substr(0, step));
      rest.remove_prefix(std::min(step, rest.size()));
      if (auto end = text.find(section_end, from); end != std::string::npos)
        return end + section_end.size();
    }
  return text.size();
}

std::string lower_name(std::string_view field) {
  std::string name{field.substr(0, field.find(':'))};
  while (!name.empty() && (name.back() == ' ' || name.back() == '\t'))
    name.pop_back();
  for (auto& c : name)
    if (c >= 'A' && c <= 'Z')
      c = static_cast<char>(c - 'A' + 'a');
  return name;
}

// The end of the field that starts at `at`: past the last of its lines that begin with white space.
std::size_t field_end(std::string_view section, std::size_t at) {
  for (;;) {
    auto line_end = section.find("\r\n", at);
    if (line_end == std::string_view::npos)
      return section.size();
    at = line_end + 2;
    if (at >= section.size() || (section[at] != ' ' && section[at] != '\t'))
      return at;
  }
}

} // namespace

std::optional<header_fields> header_fields::of(const rope& message, std::size_t size_max) {
  header_fields made;
  made.body_offset_ = copy_section(message, size_max, made.text_);
  if (made.body_offset_ > size_max)
    return std::nullopt;
  made.text_.resize(made.body_offset_);
  made.text_.reserve(made.text_.size() + 64); // on the heap whatever its size: views survive a move
  made.index(made.text_);
  return made;
}

void header_fields::index(std::string_view section) {
  for (std::size_t at = 0; at < section.size();) {
    auto end = field_end(section, at);
    auto field = section.substr(at, end - at);
    if (field.ends_with("\r\n"))
      field.remove_suffix(2);
    if (field.empty())
      return;
    if (field.find(':') != std::string_view::npos)
      fields_[lower_name(field)].push_back(field);
    at = end;
  }
}

const std::vector<std::string_view>& header_fields::named(const std::string& lower_case_name) const {
  static const std::vector<std::string_view> none;
  auto found = fields_.find(lower_case_name);
  return found == fields_.end() ? none : found->second;
}

} // namespace hedwig::dkim
