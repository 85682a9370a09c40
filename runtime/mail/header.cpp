// SPDX-License-Identifier: Apache-2.0
#include "runtime/mail/header.hpp"

#include <algorithm>

#include "runtime/base/ascii.hpp"
#include "runtime/mail/address.hpp"

namespace hedwig::mail {

namespace {

constexpr std::string_view line_end = "\r\n";
constexpr std::string_view end_mark = "\r\n\r\n";

bool is_blank(char c) noexcept { return c == ' ' || c == '\t'; }

// RFC 5322 section 3.6.8 with the white space before the colon of section 4.5. Octets of the name, or 0.
std::size_t field_name(std::string_view line, std::size_t* colon) noexcept {
  std::size_t name = 0;
  while (name < line.size() && line[name] > 32 && line[name] < 127 && line[name] != ':')
    ++name;
  auto end = name;
  while (end < line.size() && is_blank(line[end]))
    ++end;
  if (end == line.size() || line[end] != ':')
    return 0;
  *colon = end;
  return name;
}

// Whether nothing behind `text` can belong to the header.
bool holds_whole_header(std::string_view text, std::size_t searched) noexcept {
  auto from = searched < end_mark.size() ? 0 : searched - end_mark.size();
  return text.starts_with(line_end) || text.find(end_mark, from) != std::string_view::npos;
}

// The front of the message in one piece, up to its header's end or just over the limit.
slice contiguous_front(const rope& message) {
  auto parts = message.parts();
  if (parts.empty())
    return {};
  if (parts.size() == 1 || holds_whole_header(parts[0].view().substr(0, header_octets_max), 0))
    return parts[0];
  std::string text;
  for (auto& part : parts) {
    auto searched = text.size();
    text.append(part.view().substr(0, header_octets_max + 1 - text.size()));
    if (text.size() > header_octets_max || holds_whole_header(text, searched))
      break;
  }
  return slice::copy_of(text);
}

} // namespace

std::string_view to_string_view(header_fault fault) noexcept {
  switch (fault) {
  case header_fault::too_long:
    return "header too long";
  case header_fault::too_many_fields:
    return "too many header fields";
  case header_fault::loop:
    return "mail loop";
  }
  return "header too long";
}

bool header_field::is(std::string_view other) const noexcept { return ascii::equal_ignoring_case(name, other); }

std::expected<header_block, header_fault> header_block::parse(const rope& message) {
  header_block block;
  block.owner_ = contiguous_front(message);
  if (auto scanned = block.scan(block.owner_.view()); !scanned)
    return std::unexpected{scanned.error()};
  return block;
}

std::expected<header_block, header_fault> header_block::parse(std::string_view message) {
  header_block block;
  if (auto scanned = block.scan(message); !scanned)
    return std::unexpected{scanned.error()};
  return block;
}

std::expected<void, header_fault> header_block::scan(std::string_view text) {
  fields_.reserve(16);
  while (size_ < text.size()) {
    auto rest = text.substr(size_);
    auto end = rest.find(line_end);
    auto line = rest.substr(0, end);
    auto next = end == std::string_view::npos ? rest.size() : end + line_end.size();
    if (size_ + next > header_octets_max)
      return std::unexpected{header_fault::too_long};
    if (line.empty() && end != std::string_view::npos) {
      has_separator_ = ended_ = true;
      break;
    }
    std::size_t colon = 0;
    if (is_blank(line.front()) && !fields_.empty()) {
      auto& field = fields_.back();
      field.value = text.substr(static_cast<std::size_t>(field.value.data() - text.data()));
      field.value =
          field.value.substr(0, size_ + line.size() - static_cast<std::size_t>(field.value.data() - text.data()));
      field.size += next;
    } else if (auto name = field_name(line, &colon); name != 0) {
      if (fields_.size() == header_fields_max)
        return std::unexpected{header_fault::too_many_fields};
      fields_.push_back({line.substr(0, name), line.substr(colon + 1), size_, next});
    } else {
      ended_ = end != std::string_view::npos;
      break;
    }
    size_ += next;
  }
  return {};
}

const header_field* header_block::find(std::string_view name) const noexcept {
  auto found = std::ranges::find_if(fields_, [&](auto& field) { return field.is(name); });
  return found == fields_.end() ? nullptr : &*found;
}

std::size_t header_block::count(std::string_view name) const noexcept {
  return static_cast<std::size_t>(std::ranges::count_if(fields_, [&](auto& field) { return field.is(name); }));
}

std::string unfold(std::string_view value, std::size_t octets_max) {
  std::string out;
  out.reserve(std::min(value.size(), octets_max));
  bool fold = false;
  for (char c : value) {
    if (out.size() > octets_max)
      break;
    if (c == '\r' || c == '\n') {
      fold = true;
    } else if (is_blank(c) && (fold || out.empty())) {
      continue;
    } else {
      if (fold && !out.empty())
        out += ' ';
      fold = false;
      out += c == '\t' ? ' ' : (static_cast<unsigned char>(c) < 32 || c == 127) ? '?' : c;
    }
  }
  if (out.size() > octets_max) {
    auto end = octets_max;
    while (end > 0 && (static_cast<unsigned char>(out[end]) & 0xC0) == 0x80)
      --end;
    out.resize(end);
  }
  while (!out.empty() && out.back() == ' ')
    out.pop_back();
  return out;
}

std::optional<std::string_view> unfolded_already(std::string_view value) noexcept {
  while (!value.empty() && is_blank(value.front()))
    value.remove_prefix(1);
  while (!value.empty() && is_blank(value.back()))
    value.remove_suffix(1);
  // No early way out: a loop without one is done 16 octets at a time.
  bool other = false;
  for (char c : value)
    other |= static_cast<unsigned char>(c) < 32 || c == 127;
  return other ? std::nullopt : std::optional{value};
}

} // namespace hedwig::mail
