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

std::string spelled(const node& from) {
  std::string out;
  spell(from, out);
  return out;
}

const member* member_of(const node* table, std::string_view key) {
  if (table)
    for (const auto& one : table->members)
      if (one.key == key)
        return &one;
  return nullptr;
}

/// Of a key that may be absent: its default counts as written.
std::string spelled(const member* present, const schema_key& key) {
  const auto* value = present ? &present->value : fallback_of(key);
  return value ? spelled(*value) : "-";
}

/// The entries of a list; a single table where a list may stand is the only one.
std::vector<const node*> entries_of(const member* list) {
  std::vector<const node*> out;
  if (list && list->value.type == node::kind::table)
    out.push_back(&list->value);
  else if (list)
    for (const auto& item : list->value.items)
      out.push_back(&item);
  return out;
}

std::string text_of(const node& entry, std::string_view key) {
  const auto* found = entry.find(key);
  return found ? found->text : std::string{};
}

/// A rule of [[filters]] as Hedwig 0.10 has them; all of them are one provider.
bool is_rule(const schema_key& list, const node& entry) { return list.path == "filters[]" && !entry.find("use"); }

std::string identity_of(const schema_key& list, const node& entry) {
  if (list.path == "server.listeners[]") {
    const auto addr = parse_bind_address(text_of(entry, "addr"));
    return addr ? addr->text() : text_of(entry, "addr");
  }
  const auto name = text_of(entry, "name");
  return name.empty() ? text_of(entry, "use") : name;
}

struct known_entry {
  std::string identity; ///< unique in its list
  const node* at;
};

std::vector<known_entry> known_entries(const schema_key& list, const member* from) {
  std::vector<known_entry> out;
  std::map<std::string, int> seen;
  for (const auto* entry : entries_of(from)) {
    if (is_rule(list, *entry))
      continue;
    auto identity = identity_of(list, *entry);
    // Port 0 may stand several times: the second is never taken for the first.
    if (const auto count = ++seen[identity]; count > 1)
      identity += fmt::format("#{}", count);
    out.push_back({std::move(identity), entry});
  }
  return out;
}

const node* find_entry(const std::vector<known_entry>& list, std::string_view identity) {
  for (const auto& one : list)
    if (one.identity == identity)
      return one.at;
  return nullptr;
}

std::vector<std::string> common(const std::vector<known_entry>& list, const std::vector<known_entry>& other) {
  std::vector<std::string> out;
  for (const auto& one : list)
    if (find_entry(other, one.identity))
      out.push_back(one.identity);
  return out;
}

node list_of(std::vector<node> items, const member* at) {
  node out;
  out.type = node::kind::array;
  out.items = std::move(items);
  if (at) {
    out.line = at->value.line;
    out.column = at->value.column;
  }
  return out;
}

/// A table whose further keys are a provider's.
struct provider_scope {
  std::string_view list; ///< empty: no provider's
  std::string use;
};

class planner {
public:
  explicit planner(const reload_options& options) : options_{options} {}

  reload_plan make(const node& in_force, const node& wanted) {
    auto root = table(&in_force, &wanted, {}, {}, {});
    return {std::move(root), {applied_.begin(), applied_.end()}, {restart_.begin(), restart_.end()}};
  }

private:
  /// One table of both files; either may lack it. `prefix` is its path in the schema, `shown` its name for people.
  node table(const node* old, const node* fresh, std::string_view prefix, const std::string& shown,
             const provider_scope& scope) {
    node out;
    if (const auto* at = fresh ? fresh : old) {
      out.line = at->line;
      out.column = at->column;
    }
    std::set<std::string_view> known;
    for (const auto& key : schema()) {
      if (key.parent() != prefix)
        continue;
      known.insert(key.leaf());
      const auto* before = member_of(old, key.leaf());
      const auto* after = member_of(fresh, key.leaf());
      const auto name = shown.empty() ? std::string{key.leaf()} : fmt::format("{}.{}", shown, key.leaf());
      if (!key.is_table())
        value(out, key, before, after, name);
      else if (key.type == kind::table)
        plain_table(out, key, before, after, name);
      else if (key.has(reloadable))
        whole_list(out, key, before, after, name);
      else
        known_list(out, key, before, after, name);
    }
    strangers(out, old, fresh, known, shown, scope);
    return out;
  }

  static void add(node& to, const member* one) {
    if (one)
      to.members.push_back(*one);
  }

  void value(node& out, const schema_key& key, const member* before, const member* after, const std::string& name) {
    const bool same = key.has(idle) || spelled(before, key) == spelled(after, key);
    if (!same)
      (key.has(reloadable) ? applied_ : restart_).insert(name);
    add(out, same || key.has(reloadable) ? after : before);
  }

  void plain_table(node& out, const schema_key& key, const member* before, const member* after,
                   const std::string& name) {
    const auto* at = after ? after : before;
    if (!at)
      return;
    if (key.has(optional_table) && !(before && after)) {
      restart_.insert(name);
      return add(out, before);
    }
    auto made = table(before ? &before->value : nullptr, after ? &after->value : nullptr, key.path, name, {});
    out.members.push_back({at->key, at->line, at->column, std::move(made)});
  }

  /// A list that is taken over as it is, entries coming and going.
  void whole_list(node& out, const schema_key& key, const member* before, const member* after,
                  const std::string& name) {
    const auto changed = differences(key, entries_of(before), entries_of(after), name);
    // The users are a provider's, which is started with the relay or not.
    const bool may_change = key.path != "server.auth[]" || (!entries_of(before).empty() && !entries_of(after).empty());
    (may_change ? applied_ : restart_).insert(changed.begin(), changed.end());
    add(out, may_change || changed.empty() ? after : before);
  }

  static std::vector<std::string> differences(const schema_key& list, const std::vector<const node*>& before,
                                              const std::vector<const node*>& after, const std::string& name) {
    if (before.size() != after.size())
      return {name};
    std::vector<std::string> out;
    for (const auto& key : schema()) {
      if (key.parent() != list.path)
        continue;
      for (std::size_t i = 0; i < before.size(); ++i)
        if (spelled(member_of(before[i], key.leaf()), key) != spelled(member_of(after[i], key.leaf()), key)) {
          out.push_back(fmt::format("{}.{}", name, key.leaf()));
          break;
        }
    }
    return out;
  }

  /// A list whose entries are those of the start; each is found again by what it is known by.
  void known_list(node& out, const schema_key& key, const member* before, const member* after,
                  const std::string& name) {
    const auto old_entries = known_entries(key, before);
    const auto new_entries = known_entries(key, after);
    auto items = rules(key, before, after, name);
    for (const auto& [identity, old] : old_entries)
      items.push_back(entry(key, *old, find_entry(new_entries, identity), fmt::format("{}[{}]", name, identity)));
    for (const auto& [identity, fresh] : new_entries)
      if (!find_entry(old_entries, identity))
        restart_.insert(fmt::format("{}[{}]", name, identity));
    // Providers are asked in order; listeners have none.
    if (key.has(open_ended) && common(old_entries, new_entries) != common(new_entries, old_entries))
      restart_.insert(name);
    const auto* at = after ? after : before;
    if (at && !items.empty())
      out.members.push_back({at->key, at->line, at->column, list_of(std::move(items), at)});
  }

  node entry(const schema_key& list, const node& old, const node* fresh, const std::string& name) {
    if (!fresh || text_of(old, "use") != text_of(*fresh, "use")) {
      restart_.insert(name);
      return old;
    }
    return table(&old, fresh, list.path, name,
                 list.has(open_ended) ? provider_scope{list.leaf(), text_of(old, "use")} : provider_scope{});
  }

  std::vector<node> rules(const schema_key& list, const member* before, const member* after, const std::string& name) {
    const auto of = [&](const member* from) {
      std::vector<node> out;
      for (const auto* one : entries_of(from))
        if (is_rule(list, *one))
          out.push_back(*one);
      return out;
    };
    auto old_rules = of(before);
    auto new_rules = of(after);
    const bool same = spelled(list_of(old_rules, nullptr)) == spelled(list_of(new_rules, nullptr));
    const bool may_change = !old_rules.empty() && !new_rules.empty(); // as above
    if (!same)
      (may_change ? applied_ : restart_).insert(name);
    return same || may_change ? new_rules : old_rules;
  }

  /// Keys that the schema does not know: a provider's own.
  void strangers(node& out, const node* old, const node* fresh, const std::set<std::string_view>& known,
                 const std::string& shown, const provider_scope& scope) {
    std::set<std::string_view> names;
    for (const auto* from : {old, fresh})
      if (from)
        for (const auto& one : from->members)
          if (!known.contains(one.key))
            names.insert(one.key);
    for (const auto name : names)
      stranger(out, member_of(old, name), member_of(fresh, name), fmt::format("{}.{}", shown, name), scope);
  }

  void stranger(node& out, const member* before, const member* after, const std::string& name,
                const provider_scope& scope) {
    if (shown_is_storage(name) && scope.list.empty())
      return provider_table(out, before, after, name);
    const bool same = before && after && spelled(before->value) == spelled(after->value);
    const auto& key = (after ? after : before)->key;
    const bool changes = options_.provider_key_changes && options_.provider_key_changes(scope.list, scope.use, key);
    if (!same)
      (changes ? applied_ : restart_).insert(name);
    add(out, same || changes ? after : before);
  }

  static bool shown_is_storage(std::string_view name) { return name.starts_with("storage."); }

  /// [storage.rocksdb]: all of it is the provider's.
  void provider_table(node& out, const member* before, const member* after, const std::string& name) {
    const auto* at = after ? after : before;
    node made;
    made.line = at->line;
    made.column = at->column;
    strangers(made, before ? &before->value : nullptr, after ? &after->value : nullptr, {}, name, {"storage", at->key});
    out.members.push_back({at->key, at->line, at->column, std::move(made)});
  }

  const reload_options& options_;
  std::set<std::string> applied_;
  std::set<std::string> restart_;
};

} // namespace

reload_plan plan_reload(const node& in_force, const node& wanted, const reload_options& options) {
  return planner{options}.make(in_force, wanted);
}

} // namespace hedwig::config
