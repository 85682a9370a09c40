// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>

#include "runtime/config/read.hpp"
#include "runtime/telemetry/log.hpp"

namespace hedwig::config {
namespace {

node convert(const toml::node& from);

node convert_table(const toml::table& from) {
  node out;
  for (const auto& [key, value] : from)
    out.members.push_back({std::string{key.str()}, key.source().begin.line, key.source().begin.column, convert(value)});
  // toml++ keeps a table by name; messages and first-match lists go by place.
  std::stable_sort(out.members.begin(), out.members.end(), [](const member& a, const member& b) {
    return std::tie(a.line, a.column) < std::tie(b.line, b.column);
  });
  return out;
}

node convert_array(const toml::array& from) {
  node out;
  out.type = node::kind::array;
  for (const auto& item : from)
    out.items.push_back(convert(item));
  return out;
}

node convert_plain(const toml::node& from) {
  if (const auto* text = from.as_string())
    return node::of(text->get());
  if (const auto* integer = from.as_integer())
    return node::of(integer->get());
  if (const auto* boolean = from.as_boolean())
    return node::of(boolean->get());
  node out;
  out.type = node::kind::other;
  if (const auto* real = from.as_floating_point()) {
    out.type = node::kind::real;
    out.real = real->get();
  }
  return out;
}

node convert(const toml::node& from) {
  node out = from.is_table()   ? convert_table(*from.as_table())
             : from.is_array() ? convert_array(*from.as_array())
                               : convert_plain(from);
  out.line = from.source().begin.line;
  out.column = from.source().begin.column;
  return out;
}

} // namespace

std::expected<node, diagnostic> read_toml(std::string_view text, const std::string& file) {
  try {
    return convert(toml::parse(text, file));
  } catch (const toml::parse_error& failed) {
    std::string shown;
    telemetry::append_escaped(shown, failed.description(), 300);
    // append_escaped() makes the quotes of the library's sentence ready for JSON; here they are read by people.
    std::erase(shown, '\\');
    const auto at = failed.source().begin;
    return std::unexpected{diagnostic{file, at.line, at.column, fmt::format("this is not TOML: {}", shown)}};
  }
}

} // namespace hedwig::config
