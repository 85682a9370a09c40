// SPDX-License-Identifier: Apache-2.0
#include "runtime/config/node.hpp"

namespace hedwig::config {

const node* node::find(std::string_view key) const noexcept {
  for (const auto& one : members)
    if (one.key == key)
      return &one.value;
  return nullptr;
}

node node::of(std::string value) {
  node out;
  out.type = kind::string;
  out.text = std::move(value);
  return out;
}

node node::of(std::int64_t value) {
  node out;
  out.type = kind::integer;
  out.integer = value;
  return out;
}

node node::of(bool value) {
  node out;
  out.type = kind::boolean;
  out.boolean = value;
  return out;
}

const node* find_path(const node& root, std::string_view path) {
  const node* at = &root;
  while (at && !path.empty()) {
    const auto end = path.find_first_of(".[");
    if (path.front() == '[') {
      const auto close = path.find(']');
      const auto index = static_cast<std::size_t>(std::stoul(std::string{path.substr(1, close - 1)}));
      // A single table where a list may stand is its own first item.
      if (at->type == node::kind::array)
        at = index < at->items.size() ? &at->items[index] : nullptr;
      path.remove_prefix(close + 1);
    } else {
      at = at->find(path.substr(0, end));
      path.remove_prefix(end == path.npos ? path.size() : end);
    }
    if (path.starts_with('.'))
      path.remove_prefix(1);
  }
  return at;
}

const node& nearest_node(const node& root, std::string_view path) {
  for (;;) {
    if (const auto* found = find_path(root, path))
      return *found;
    const auto cut = path.find_last_of(".[");
    if (cut == path.npos)
      return root;
    path = path.substr(0, cut);
  }
}

std::string_view describe(node::kind type) noexcept {
  switch (type) {
  case node::kind::string:
    return "a string";
  case node::kind::integer:
    return "an integer";
  case node::kind::real:
    return "a fraction";
  case node::kind::boolean:
    return "a boolean";
  case node::kind::array:
    return "a list";
  case node::kind::table:
    return "a table";
  case node::kind::other:
    break;
  }
  return "a date, a time or null";
}

} // namespace hedwig::config
