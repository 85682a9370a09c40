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
