// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "runtime/config/check.hpp"
#include "runtime/config/load.hpp"

namespace hedwig::config {
namespace {

/// A value as a text that is equal when the value is; places do not count.
void spell(const node& from, std::string& out) {
  switch (from.type) {
  case node::kind::string:
    out += fmt::format("s{}:{}", from.text.size(), from.text);
    return;
  case node::kind::integer:
    out += fmt::format("i{};", from.integer);
    return;
  case node::kind::real:
    out += fmt::format("r{};", from.real);
    return;
  case node::kind::boolean:
    out += from.boolean ? "t" : "f";
    return;
  case node::kind::other:
    out += "o";
    return;
  case node::kind::array:
    out += "[";
    for (const auto& item : from.items)
      spell(item, out);
    out += "]";
    return;
  case node::kind::table:
    break;
  }
  std::map<std::string_view, const node*> in_order;
  for (const auto& one : from.members)
    in_order[one.key] = &one.value;
  out += "{";
  for (const auto& [key, value] : in_order) {
    out += fmt::format("k{}:{}", key.size(), key);
    spell(*value, out);
  }
  out += "}";
}

/// By schema path: every value of that key in the file, in order, defaults filled in.
using spelled = std::map<std::string, std::string, std::less<>>;

void gather(const node* from, std::string_view prefix, spelled& out);

void gather_tables(const node& from, const schema_key& key, spelled& out) {
  if (from.type == node::kind::table)
    return gather(&from, key.path, out);
  // The number of tables belongs to the list itself.
  out[std::string{key.path}] += fmt::format("{};", from.items.size());
  for (const auto& item : from.items)
    gather(&item, key.path, out);
}

void gather(const node* from, std::string_view prefix, spelled& out) {
  std::set<std::string_view> known;
  for (const auto& key : schema()) {
    if (key.parent() != prefix)
      continue;
    known.insert(key.leaf());
    const auto* present = from ? from->find(key.leaf()) : nullptr;
    if (key.is_table()) {
      if (present)
        gather_tables(*present, key, out);
      else if (key.type == kind::table && !key.has(optional_table))
        gather(nullptr, key.path, out);
      if (key.has(optional_table))
        out[std::string{key.path}] += present ? "y" : "n";
    } else if (const auto* value = present ? present : fallback_of(key)) {
      spell(*value, out[std::string{key.path}]);
    } else {
      out[std::string{key.path}] += "-";
    }
  }
  if (from)
    for (const auto& one : from->members)
      if (!known.contains(one.key))
        spell(one.value, out[fmt::format("{}{}{}", prefix, prefix.empty() ? "" : ".", one.key)]);
}

bool is_reloadable(std::string_view path) {
  for (const auto& key : schema())
    if (key.path == path)
      return key.has(reloadable);
  return false;
}

} // namespace

reload_report reload_difference(const loaded& before, const loaded& after) {
  spelled old_values;
  spelled new_values;
  gather(&before.root, {}, old_values);
  gather(&after.root, {}, new_values);
  std::set<std::string> paths;
  for (const auto& [path, spelling] : old_values)
    if (const auto found = new_values.find(path); found == new_values.end() || found->second != spelling)
      paths.insert(path);
  for (const auto& [path, spelling] : new_values)
    if (!old_values.contains(path))
      paths.insert(path);
  reload_report out;
  for (const auto& path : paths)
    (is_reloadable(path) ? out.applied : out.restart).push_back(display(path));
  return out;
}

} // namespace hedwig::config
