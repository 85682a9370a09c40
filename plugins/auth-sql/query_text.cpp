// SPDX-License-Identifier: Apache-2.0
#include "query_text.hpp"

#include <algorithm>
#include <stdexcept>

namespace hedwig::auth_sql {

namespace {

constexpr std::size_t query_octets_max = 16 * 1024;
constexpr std::size_t parameters_max = 32;

bool in_name(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; }

bool is_placeholder(std::string_view text) {
  return text.size() > 2 && text.front() == '{' && text.back() == '}' &&
         std::ranges::all_of(text.substr(1, text.size() - 2), in_name);
}

/// The length of the part that begins `text` and in which nothing is a placeholder: a quoted text or name, or a
/// comment; 0: it is none. Throws where it does not end.
std::size_t opaque_length(std::string_view text) {
  auto through = [&](std::string_view end, std::size_t from) {
    auto at = text.find(end, from);
    if (at == std::string_view::npos)
      throw std::invalid_argument{"has a quote or comment that does not end"};
    return at + end.size();
  };
  if (text.front() == '\'' || text.front() == '"') // a doubled quote inside is two such parts in a row
    return through(text.substr(0, 1), 1);
  if (text.starts_with("--"))
    return std::min(text.find('\n'), text.size() - 1) + 1;
  if (text.starts_with("/*"))
    return through("*/", 2);
  if (text.front() == '$') { // PostgreSQL's $tag$ ... $tag$
    std::size_t end = 1;
    while (end < text.size() && (in_name(text[end]) || (text[end] >= 'A' && text[end] <= 'Z')))
      ++end;
    if (end < text.size() && text[end] == '$')
      return through(text.substr(0, end + 1), end + 1);
    throw std::invalid_argument{"has a $: write parameters as {user}"};
  }
  return 0;
}

void refuse_placeholder(std::string_view quoted) {
  for (auto open = quoted.find('{'); open != std::string_view::npos; open = quoted.find('{', open + 1)) {
    auto close = quoted.find('}', open);
    if (close == std::string_view::npos)
      return;
    if (auto one = quoted.substr(open, close - open + 1); is_placeholder(one))
      throw std::invalid_argument{"has " + std::string{one} + " inside quotes: write it without them, it is a value"};
  }
}

} // namespace

query_text::query_text(std::string_view written) {
  if (written.size() > query_octets_max)
    throw std::invalid_argument{"is longer than 16384 octets"};
  while (!written.empty() && (written.back() == ';' || written.back() == ' ' || written.back() == '\n'))
    written.remove_suffix(1);
  while (!written.empty()) {
    if (auto length = opaque_length(written); length != 0) {
      if (!written.starts_with("--") && !written.starts_with("/*"))
        refuse_placeholder(written.substr(0, length));
      sql_ += written.substr(0, length);
      written.remove_prefix(length);
      continue;
    }
    auto c = written.front();
    if (c == ';')
      throw std::invalid_argument{"is more than one query"};
    auto close = c == '{' ? written.find('}') : std::string_view::npos;
    if (close == std::string_view::npos || !is_placeholder(written.substr(0, close + 1))) {
      sql_ += c;
      written.remove_prefix(1);
      continue;
    }
    std::string name{written.substr(1, close - 1)};
    auto found = std::ranges::find(parameters_, name);
    sql_ += "$" + std::to_string(found - parameters_.begin() + 1);
    if (found == parameters_.end())
      parameters_.push_back(std::move(name));
    if (parameters_.size() > parameters_max)
      throw std::invalid_argument{"has more than 32 parameters"};
    written.remove_prefix(close + 1);
  }
}

std::string query_text::sql(std::size_t rows_max) const {
  // On lines of its own: the query may end with a comment. What stands inside can read only.
  return "SELECT * FROM (\n" + sql_ + "\n) AS hedwig LIMIT " + std::to_string(rows_max);
}

} // namespace hedwig::auth_sql
