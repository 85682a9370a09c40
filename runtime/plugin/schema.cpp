// SPDX-License-Identifier: Apache-2.0
// What is said about a schema itself: its faults and its reference page.
#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <set>

#include "runtime/config/values.hpp"
#include "runtime/plugin/config_value.hpp"
#include "runtime/plugin/schema_view.hpp"

namespace hedwig::plugin {

namespace {

constexpr std::uint32_t keys_max = 1000;
constexpr int depth_max = 4;

bool good_key_name(std::string_view name) {
  return !name.empty() && name.size() <= 100 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
  });
}

std::string fault_of(const hedwig_config_key* key) {
  if (key == nullptr || key->struct_size < sizeof(hedwig_config_key))
    return "a key is incomplete";
  if (key->name == nullptr || !good_key_name(key->name))
    return "a key has no name of lower-case letters, digits, '_' and '.'";
  if (key->help == nullptr || *key->help == '\0')
    return fmt::format("{} has no help text", key->name);
  if (key->type < HEDWIG_CONFIG_STRING || key->type > HEDWIG_CONFIG_TABLES)
    return fmt::format("{} has the unknown type {}", key->name, key->type);
  if (key->type == HEDWIG_CONFIG_TABLES && key->nested == nullptr)
    return fmt::format("{} has no nested schema", key->name);
  if (key->minimum > key->maximum)
    return fmt::format("{} has a minimum above its maximum", key->name);
  if (auto fault = default_fault(*key); !fault.empty())
    return fmt::format("{}: {}", key->name, fault);
  return {};
}

void find_faults(const hedwig_config_schema* schema, int depth, std::vector<std::string>& out) {
  if (schema == nullptr)
    return;
  if (schema->struct_size < sizeof(hedwig_config_schema) || schema->key_count > keys_max || depth > depth_max ||
      (schema->key_count > 0 && schema->keys == nullptr)) {
    out.emplace_back("the schema is incomplete, too large or nested too deeply");
    return;
  }
  std::set<std::string_view> names;
  for (std::uint32_t i = 0; i < schema->key_count; ++i) {
    const auto* key = schema->keys[i];
    if (auto fault = fault_of(key); !fault.empty()) {
      out.push_back(std::move(fault));
      continue;
    }
    if (!names.insert(key->name).second)
      out.push_back(fmt::format("{} appears twice", key->name));
    if (key->type == HEDWIG_CONFIG_TABLES)
      find_faults(key->nested, depth + 1, out);
  }
}

std::string range_of(const hedwig_config_key& key) {
  if (key.minimum == key.maximum)
    return {};
  if (key.type == HEDWIG_CONFIG_DURATION)
    return fmt::format(", {} to {}", config::to_text(std::chrono::nanoseconds{key.minimum}),
                       config::to_text(std::chrono::nanoseconds{key.maximum}));
  return fmt::format(", {} to {}", key.minimum, key.maximum);
}

std::string type_of(const hedwig_config_key& key) {
  auto text = fmt::format("{}{}", type_name(key.type), range_of(key));
  if (key.choices != nullptr) {
    std::vector<std::string> all;
    for (auto* one = key.choices; *one != nullptr; ++one)
      all.push_back(fmt::format("`{}`", *one));
    text += fmt::format(": {}", fmt::join(all, ", "));
  }
  return text;
}

std::string default_of(const hedwig_config_key& key) {
  if ((key.flags & HEDWIG_CONFIG_REQUIRED) != 0)
    return "required";
  return key.default_value == nullptr ? "none" : fmt::format("`{}`", key.default_value);
}

std::string escaped(std::string_view text) {
  std::string out;
  for (char c : text)
    out += c == '|' ? std::string{"\\|"} : std::string(1, c);
  return out;
}

std::string remarks_of(const hedwig_config_key& key) {
  std::string out;
  if ((key.flags & HEDWIG_CONFIG_RELOADABLE) != 0)
    out += " Read again on SIGHUP.";
  if ((key.flags & HEDWIG_CONFIG_DEPRECATED) != 0)
    out += " Deprecated.";
  return out;
}

} // namespace

std::vector<std::string> schema_faults(const hedwig_config_schema* schema) {
  std::vector<std::string> out;
  find_faults(schema, 0, out);
  return out;
}

std::string schema_markdown(const hedwig_config_schema* schema, std::string_view table) {
  schema_view keys{schema};
  if (keys.count() == 0)
    return "No settings.\n";
  std::string out = "| Key | Type | Default | Meaning |\n|---|---|---|---|\n";
  std::string below;
  keys.each([&](const hedwig_config_key& key) {
    out += fmt::format("| `{}` | {} | {} | {}{} |\n", key.name, escaped(type_of(key)), escaped(default_of(key)),
                       escaped(key.help), remarks_of(key));
    if (key.type == HEDWIG_CONFIG_TABLES) {
      auto name = fmt::format("{}.{}", table, key.name);
      below += fmt::format("\nEach `[[{}]]`:\n\n{}", name, schema_markdown(key.nested, name));
    }
  });
  return out + below;
}

} // namespace hedwig::plugin
