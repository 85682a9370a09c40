// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace hedwig::check {

/// A sentence of the contract, in the header's own words, and where it stands.
struct rule {
  std::string_view header; ///< "hedwig/storage.h"
  int line;
  std::string_view words;
};

namespace detail {

constexpr bool is_gap(char c) { return c == ' ' || c == '\n' || c == '*' || c == '/' || c == '\t'; }

/// Whether `words` stand at `text[at]`, line breaks and the marks of comments taken as spaces.
constexpr bool stands_at(std::string_view text, std::size_t at, std::string_view words) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] != ' ') {
      if (at >= text.size() || text[at] != words[i])
        return false;
      ++at;
      continue;
    }
    if (at >= text.size() || !is_gap(text[at]))
      return false;
    while (at < text.size() && is_gap(text[at]))
      ++at;
  }
  return true;
}

/// The line (from 1) where `words` begin; 0 when they do not stand in `text`.
constexpr int line_of(std::string_view text, std::string_view words) {
  int line = 1;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == words[0] && stands_at(text, i, words))
      return line;
    if (text[i] == '\n')
      ++line;
  }
  return 0;
}

} // namespace detail

/// "hedwig/storage.h:83".
std::string place_of(const rule& one);

} // namespace hedwig::check
