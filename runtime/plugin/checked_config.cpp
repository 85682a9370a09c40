// SPDX-License-Identifier: Apache-2.0
#include "runtime/plugin/checked_config.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "runtime/config/values.hpp"
#include "runtime/plugin/config_value.hpp"
#include "runtime/plugin/schema_view.hpp"

namespace hedwig::plugin {

namespace {

using config::diagnostic;
using config::member;
using config::node;

constexpr int depth_max = 8; // of tables within tables, of schema or file

/// Checks one table of the file and the tables below it.
class table_checker {
public:
  table_checker(const config_source& source, checked& out) : source_{source}, out_{out} {}

  std::shared_ptr<const hedwig_config> run(const node& table, const hedwig_config_schema* schema,
                                           const std::string& path, bool top, int depth) {
    auto made = std::make_shared<hedwig_config>();
    scope here{schema_view{schema}, path, top, depth, *made};
    if (table.type != node::kind::table)
      complain(table.line, table.column,
               fmt::format("{}: {} stands where a table belongs", path, describe(table.type)));
    else
      members(here, table, "");
    absent_keys(here, table);
    return made;
  }

private:
  struct scope {
    schema_view schema;
    const std::string& path;
    bool top;
    int depth;
    hedwig_config& made;
  };

  void complain(std::uint32_t line, std::uint32_t column, std::string message) {
    out_.errors.push_back({source_.file, line, column, std::move(message)});
  }

  void members(scope& here, const node& table, const std::string& prefix) {
    for (auto& one : table.members) {
      auto name = prefix + one.key;
      if (const auto* key = here.schema.find(name))
        value(here, *key, one);
      else if (one.value.type == node::kind::table && here.schema.has_below(name))
        members(here, one.value, name + ".");
      else if (!(here.top && prefix.empty() &&
                 std::ranges::find(source_.host_keys, one.key) != source_.host_keys.end()))
        unknown(here, one, name);
    }
  }

  void unknown(const scope& here, const member& one, const std::string& name) {
    std::vector<std::string_view> names = here.schema.names();
    auto known = names;
    if (here.top)
      known.insert(known.end(), source_.host_keys.begin(), source_.host_keys.end());
    auto near = config::nearest_name(name, known);
    auto advice = near            ? fmt::format("did you mean \"{}\"?", *near)
                  : names.empty() ? std::string{"this provider takes no settings of its own"}
                                  : fmt::format("known are {}", fmt::join(known, ", "));
    complain(one.line, one.column, fmt::format("{}: unknown key {}: {}", here.path, config::quoted(name), advice));
  }

  void value(scope& here, const hedwig_config_key& key, const member& one) {
    auto name = fmt::format("{}.{}", here.path, key.name);
    if ((key.flags & HEDWIG_CONFIG_DEPRECATED) != 0)
      out_.warnings.push_back(
          {source_.file, one.line, one.column, fmt::format("{} is deprecated: {}", name, key.help)});
    if (key.type == HEDWIG_CONFIG_TABLES)
      return tables(here, key, one, name);
    auto read = read_value(key, one.value, source_);
    if (!read) {
      auto& at = one.value.line != 0 ? one.value.line : one.line;
      auto& column = one.value.line != 0 ? one.value.column : one.column;
      return complain(at, column, fmt::format("{}: {}", name, read.error()));
    }
    here.made.values.insert_or_assign(key.name, std::move(*read));
  }

  void tables(scope& here, const hedwig_config_key& key, const member& one, const std::string& name) {
    if (one.value.type != node::kind::array || here.depth >= depth_max)
      return complain(
          one.line, one.column,
          fmt::format("{0}: {1} stands where tables belong: write [[{0}]]", name, describe(one.value.type)));
    hedwig_config::tables all;
    for (auto& entry : one.value.items)
      all.push_back(run(entry, key.nested, name, false, here.depth + 1));
    here.made.values.insert_or_assign(key.name, std::move(all));
  }

  void absent_keys(scope& here, const node& table) {
    here.schema.each([&](const hedwig_config_key& key) {
      if (written(table, key.name))
        return;
      if ((key.flags & HEDWIG_CONFIG_REQUIRED) != 0)
        complain(table.line, table.column, fmt::format("{}: {} is missing: {}", here.path, key.name, key.help));
      else if (auto fallback = default_value(key, source_))
        here.made.values.insert_or_assign(key.name, std::move(*fallback));
    });
  }

  /// A value that is wrong is there all the same.
  static bool written(const node& table, std::string_view name) {
    const node* at = &table;
    for (;;) {
      if (const auto* found = at->find(name))
        return found != nullptr;
      auto dot = name.find('.');
      if (dot == std::string_view::npos)
        return false;
      at = at->find(name.substr(0, dot));
      if (at == nullptr)
        return false;
      name.remove_prefix(dot + 1);
    }
  }

  const config_source& source_;
  checked& out_;
};

/// The place of a dotted key, following first entries of lists.
const member* place_of(const node& table, std::string_view key) {
  const node* at = &table;
  const member* found = nullptr;
  for (auto rest = key; !rest.empty();) {
    auto part = rest.substr(0, rest.find('.'));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    if (at->type == node::kind::array && !at->items.empty())
      at = &at->items.front();
    auto next = std::ranges::find(at->members, part, &member::key);
    if (next == at->members.end())
      return nullptr;
    found = &*next;
    at = &next->value;
  }
  return found;
}

} // namespace

checked check_config(const node& table, const hedwig_config_schema* schema, const config_source& source) {
  checked out;
  auto config = table_checker{source, out}.run(table, schema, source.table, true, 0);
  if (out.errors.empty())
    out.config = std::move(config);
  std::ranges::sort(out.errors);
  std::ranges::sort(out.warnings);
  return out;
}

diagnostic diagnostic_at(const node& table, const config_source& source, std::string_view key,
                         std::string_view message) {
  if (key.starts_with(source.table + "."))
    key.remove_prefix(source.table.size() + 1);
  const auto* place = place_of(table, key);
  auto where = key.empty() ? source.table : fmt::format("{}.{}", source.table, key);
  return {source.file, place != nullptr ? place->line : table.line, place != nullptr ? place->column : table.column,
          fmt::format("{}: {}", where, message)};
}

} // namespace hedwig::plugin
