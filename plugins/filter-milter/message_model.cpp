// SPDX-License-Identifier: Apache-2.0
#include "message_model.hpp"

#include <algorithm>

namespace hedwig::filter_milter {

namespace {

constexpr std::size_t line_max = 900; // of a folded value; the host takes a little more

char lower_case(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_name(std::string_view a, std::string_view b) { return std::ranges::equal(a, b, {}, lower_case, lower_case); }

/// The lines of a value, without what must not be in one, and without those that are white space alone.
std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  for (;;) {
    auto end = text.find('\n');
    std::string line{text.substr(0, end)};
    std::erase_if(line, [](char c) { return c == '\r' || c == '\0'; });
    if (line.find_first_not_of(" \t") != std::string::npos)
      lines.push_back(std::move(line));
    if (end == std::string_view::npos)
      return lines;
    text.remove_prefix(end + 1);
  }
}

/// Octets of the well-formed UTF-8 character that `text` begins with; 0: none.
std::size_t character_size(std::string_view text) {
  auto lead = static_cast<unsigned char>(text[0]);
  std::size_t size = lead < 0x80                   ? 1
                     : lead >= 0xC2 && lead < 0xE0 ? 2
                     : lead >= 0xE0 && lead < 0xF0 ? 3
                     : lead >= 0xF0 && lead < 0xF5 ? 4
                                                   : 0;
  if (size == 0 || size > text.size())
    return 0;
  for (std::size_t i = 1; i < size; ++i)
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80)
      return 0;
  auto second = size > 1 ? static_cast<unsigned char>(text[1]) : 0x80;
  auto overlong = (lead == 0xE0 && second < 0xA0) || (lead == 0xF0 && second < 0x90);
  auto beyond = (lead == 0xED && second >= 0xA0) || (lead == 0xF4 && second >= 0x90);
  return overlong || beyond || (lead == 0xC2 && second < 0xA0) ? 0 : size;
}

} // namespace

held_slice::held_slice(const sdk::host& host, const hedwig_slice& borrowed) : host_{host.raw()}, slice_{borrowed} {
  host_->buf_retain(host_, slice_.buf);
}
held_slice::held_slice(const sdk::host& host, std::string_view text)
  : host_{host.raw()}, slice_{sdk::copy_to_buffer(host, text)} {}

held_slice& held_slice::operator=(held_slice&& other) noexcept {
  if (this != &other) {
    release();
    host_ = other.host_;
    slice_ = std::exchange(other.slice_, {});
  }
  return *this;
}

void held_slice::release() noexcept {
  if (slice_.buf != nullptr)
    host_->buf_release(host_, slice_.buf);
}

void message_model::add_received_field(const hedwig_filter_header& shown) {
  auto raw = sdk::view(shown.raw);
  auto colon = raw.find(':');
  auto value = colon == std::string_view::npos ? sdk::view(shown.value) : raw.substr(colon + 1);
  if (value.ends_with("\r\n"))
    value.remove_suffix(2);
  if (fields_.empty())
    hides_first_ = same_name(sdk::view(shown.name), "Received");
  fields_.push_back({std::string{sdk::view(shown.name)}, std::string{value}});
}

void message_model::apply(std::vector<sdk::edit> edits, std::vector<held_slice>* body) {
  for (auto& one : edits)
    apply_to_fields(one);
  std::ranges::move(edits, std::back_inserter(edits_));
  if (body == nullptr)
    return;
  body_ = std::move(*body);
  std::erase_if(edits_, [](auto& one) { return one.kind == HEDWIG_EDIT_REPLACE_BODY; });
  sdk::edit replaced{HEDWIG_EDIT_REPLACE_BODY, {}, {}};
  for (auto& one : body_)
    replaced.slices.push_back(one.raw());
  edits_.push_back(std::move(replaced));
}

void message_model::apply_to_fields(const sdk::edit& one) {
  header_field made{one.name, " " + one.value};
  if (one.kind == HEDWIG_EDIT_ADD_HEADER) {
    fields_.push_back(std::move(made));
  } else if (one.kind == HEDWIG_EDIT_INSERT_HEADER) {
    auto place = std::min<std::size_t>(std::max(one.index, 1U) - 1, fields_.size());
    hides_first_ = hides_first_ && place > 0;
    fields_.insert(fields_.begin() + static_cast<std::ptrdiff_t>(place), std::move(made));
  } else if (one.kind == HEDWIG_EDIT_REPLACE_HEADER || one.kind == HEDWIG_EDIT_DELETE_HEADER) {
    std::uint32_t seen = 0;
    auto named = [&](auto& field) { return same_name(field.name, one.name) && ++seen == one.index; };
    auto found = std::ranges::find_if(fields_, named);
    if (one.kind == HEDWIG_EDIT_REPLACE_HEADER && found == fields_.end())
      fields_.push_back(std::move(made));
    else if (one.kind == HEDWIG_EDIT_REPLACE_HEADER)
      found->value = std::move(made.value);
    else if (found != fields_.end())
      fields_.erase(found);
  }
}

field_value value_from_milter(std::string_view text, bool leading_space) {
  if (leading_space && text.starts_with(' '))
    text.remove_prefix(1);
  auto lines = lines_of(text);
  std::string folded;
  std::string unfolded;
  bool fits = true;
  for (auto& line : lines) {
    if (!folded.empty()) {
      auto space = line.starts_with(' ') || line.starts_with('\t') ? "" : "\t";
      (folded += "\r\n") += space;
      unfolded += *space == '\t' ? " " : "";
    }
    folded += line;
    unfolded += line;
    fits = fits && line.size() < line_max;
  }
  return fits ? field_value{std::move(folded), HEDWIG_EDIT_FOLDED} : field_value{std::move(unfolded), 0};
}

std::string value_for_milter(std::string_view value, bool leading_space) {
  if (!leading_space)
    value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
  std::string out{value};
  std::erase(out, '\r');
  return out;
}

std::string printable(std::string_view text, std::size_t octets_max) {
  std::string out;
  while (!text.empty()) {
    auto size = character_size(text);
    auto control = size == 1 && (text[0] < ' ' || text[0] == 0x7F);
    if (out.size() + std::max<std::size_t>(size, 1) > octets_max)
      break;
    if (control)
      out += ' ';
    else if (size == 0)
      out += '?';
    else
      out += text.substr(0, size);
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
  return out;
}

std::string message_id_text(const hedwig_msg_id& id) {
  static constexpr char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  std::string out;
  unsigned pending = 0;
  int bits = 2; // two zero bits in front, so that 130 divide into groups of five
  for (auto byte : id.bytes) {
    pending = (pending << 8 | byte) & 0xFFFF;
    for (bits += 8; bits >= 5;) {
      bits -= 5;
      out += alphabet[(pending >> bits) & 31];
    }
  }
  return out;
}

} // namespace hedwig::filter_milter
