// SPDX-License-Identifier: Apache-2.0
#include "runtime/dkim/canonical.hpp"

#include <algorithm>
#include <cstring>

namespace hedwig::dkim {

namespace {

bool is_wsp(char c) noexcept { return c == ' ' || c == '\t'; }

// What relaxed_body has to look at; everything else is copied in runs.
constexpr auto special = [] {
  std::array<bool, 256> table{};
  for (unsigned char c : {' ', '\t', '\r', '\n'})
    table[c] = true;
  return table;
}();

std::size_t run_length(std::string_view text) noexcept {
  std::size_t size = 0;
  while (size < text.size() && !special[static_cast<unsigned char>(text[size])])
    ++size;
  return size;
}

// The value with its folds undone: a CRLF goes, the white space after it stays (RFC 5322, section 2.2.3).
void append_unfolded(std::string& out, std::string_view value) {
  bool space = false;
  bool any = false;
  for (std::size_t i = 0; i < value.size(); ++i) {
    char c = value[i];
    if (c == '\r' && i + 1 < value.size() && value[i + 1] == '\n') {
      ++i;
      continue;
    }
    if (is_wsp(c)) {
      space = any;
      continue;
    }
    if (space)
      out.push_back(' ');
    space = false;
    any = true;
    out.push_back(c);
  }
}

} // namespace

std::string relaxed_field(std::string_view field) {
  auto colon = std::min(field.find(':'), field.size());
  auto name = field.substr(0, colon);
  while (!name.empty() && is_wsp(name.back()))
    name.remove_suffix(1);
  std::string out;
  out.reserve(field.size());
  for (char c : name)
    out.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
  out.push_back(':');
  append_unfolded(out, field.substr(std::min(colon + 1, field.size())));
  return out;
}

void relaxed_body::flush() {
  if (used_ > 0)
    take({out_.data(), used_});
  used_ = 0;
}

void relaxed_body::put(std::string_view bytes) {
  if (bytes.size() > out_.size() - used_) {
    flush();
    if (bytes.size() >= out_.size())
      return take(bytes);
  }
  std::memcpy(out_.data() + used_, bytes.data(), bytes.size());
  used_ += bytes.size();
}

void relaxed_body::content(std::string_view run) {
  for (; line_ends_ > 0; --line_ends_)
    put("\r\n");
  if (space_)
    put(" ");
  space_ = false;
  any_ = true;
  put(run);
}

void relaxed_body::update(std::string_view piece) {
  while (!piece.empty()) {
    char c = piece.front();
    if (cr_) {
      cr_ = false;
      if (c == '\n') {
        space_ = false; // white space at the end of a line
        ++line_ends_;
        piece.remove_prefix(1);
        continue;
      }
      content("\r");
    }
    auto run = run_length(piece);
    if (run == 0) {
      cr_ = c == '\r';
      space_ |= is_wsp(c);
      if (c == '\n')
        content("\n");
      run = 1;
    } else {
      content(piece.substr(0, run));
    }
    piece.remove_prefix(run);
  }
}

void relaxed_body::finish() {
  if (cr_)
    content("\r");
  // Trailing empty lines go, a missing last line end comes; an empty body stays empty.
  if (any_)
    put("\r\n");
  flush();
}

} // namespace hedwig::dkim
