// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "runtime/config/check.hpp"

namespace hedwig::config {
namespace {

const member* member_named(const node& table, std::string_view key) {
  for (const auto& one : table.members)
    if (one.key == key)
      return &one;
  return nullptr;
}

/// Reads one table, with whatever is in it.
class reader {
public:
  reader(const std::string& folder, report& out) : folder_{folder}, out_{out} {}

  void table(const node* from, std::string_view prefix, void* owner, const schema_key* self) {
    for (const auto& key : schema())
      if (key.parent() == prefix)
        one_key(from, key, owner);
    if (from)
      for (const auto& one : from->members)
        if (!is_known(prefix, one.key))
          stranger(one, prefix, owner, self);
  }

private:
  void one_key(const node* from, const schema_key& key, void* owner) {
    const auto* present = from ? member_named(*from, key.leaf()) : nullptr;
    if (key.is_table())
      return present ? present_table(*present, key, owner) : absent_table(from, key, owner);
    if (present)
      return present_value(*present, key, owner);
    if (from && key.has(required))
      out_.error(*from, fmt::format("{} is missing: write {} = ...", display(key.path), key.leaf()));
    if (const auto* fallback = fallback_of(key))
      store(key, *fallback, {}, owner);
  }

  void present_value(const member& present, const schema_key& key, void* owner) {
    if (key.has(idle))
      out_.warning(present, fmt::format("{} means nothing here: {}", display(key.path), key.note));
    if (key.has(deprecated))
      out_.warning(present, fmt::format("{} is an old name: {}", display(key.path), key.note));
    store(key, present.value, present.value, owner);
  }

  void store(const schema_key& key, const node& from, place at, void* owner) {
    auto good = check_value(key, from, at, folder_, out_);
    if (good && key.store)
      key.store(owner, std::move(*good));
  }

  void absent_table(const node* from, const schema_key& key, void* owner) {
    if (from && key.has(required))
      out_.error(*from, fmt::format("{} is missing: add a {} table", display(key.path), header_of(key)));
    // An absent table of plain keys has its defaults all the same; nothing in it is required then.
    if (key.type == kind::table && !key.has(optional_table))
      table(nullptr, key.path, key.open(owner), &key);
  }

  void present_table(const member& present, const schema_key& key, void* owner) {
    const auto& from = present.value;
    const bool single = from.type == node::kind::table && key.type != kind::tables;
    const bool list = from.type == node::kind::array && key.type != kind::table;
    if (single)
      return table(&from, key.path, key.open(owner), &key);
    if (!list)
      return out_.error(
          from, fmt::format("{} is {}: write a {} table", display(key.path), describe(from.type), header_of(key)));
    if (from.items.empty() && key.has(not_empty))
      out_.error(from, fmt::format("{} is empty: add a [[{}]] table", display(key.path), display(key.path)));
    for (const auto& item : from.items) {
      if (item.type == node::kind::table)
        table(&item, key.path, key.open(owner), &key);
      else
        out_.error(item, fmt::format("{} holds {}: write [[{}]] tables", display(key.path), describe(item.type),
                                     display(key.path)));
    }
  }

  static std::string header_of(const schema_key& key) {
    const auto name = display(key.path);
    return key.type == kind::table ? fmt::format("[{}]", name) : fmt::format("[[{}]]", name);
  }

  static bool is_known(std::string_view prefix, std::string_view name) {
    return std::any_of(schema().begin(), schema().end(),
                       [&](const schema_key& key) { return key.parent() == prefix && key.leaf() == name; });
  }

  void stranger(const member& one, std::string_view prefix, void* owner, const schema_key* self) {
    // Of [storage] only tables may be a provider's; of [[auth]] and [[filters]] every further key may.
    const bool collected = self && self->collect && (self->type != kind::table || one.value.type == node::kind::table);
    if (collected)
      self->collect(owner, one);
    else
      out_.error(one, unknown_key(prefix, one.key));
  }

  const std::string& folder_;
  report& out_;
};

} // namespace

std::string display(std::string_view path) {
  std::string out{path};
  for (auto at = out.find("[]"); at != out.npos; at = out.find("[]"))
    out.erase(at, 2);
  return out;
}

std::string unknown_key(std::string_view table, std::string_view name) {
  std::vector<std::string_view> beside;
  std::vector<std::string_view> elsewhere;
  for (const auto& key : schema()) {
    if (key.parent() == table)
      beside.push_back(key.leaf());
    else if (key.leaf() == name)
      elsewhere.push_back(key.path);
  }
  // The name as such, in quotes only where TOML needs them.
  const bool bare = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
  const auto shown =
      fmt::format("{}{}{}", display(table), table.empty() ? "" : ".", bare ? std::string{name} : quoted(name));
  if (const auto near = nearest_name(name, beside))
    return fmt::format("{} is not a known key: did you mean {}?", shown, *near);
  if (elsewhere.size() == 1)
    return fmt::format("{} is not a known key: did you mean {}?", shown, display(elsewhere.front()));
  return fmt::format("{} is not a known key: {} knows {}", shown,
                     table.empty() ? "the file" : fmt::format("[{}]", display(table)), fmt::join(beside, ", "));
}

void check_table(const node* root, std::string_view prefix, void* owner, const std::string& folder, report& out) {
  reader{folder, out}.table(root, prefix, owner, nullptr);
}

} // namespace hedwig::config
