// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/config/odd_settings.hpp"

#include <hedwig/testing/settings.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>

#include <fmt/format.h>

#include "sdk/check/config_watch.hpp"

namespace hedwig::check {

namespace {

using odd_value = std::pair<std::string, std::optional<hedwig_config::value>>; // nothing: the key is not there

std::vector<odd_value> odd_texts(const hedwig_config_key& key) {
  constexpr std::size_t long_text = 5000;
  std::vector<odd_value> all;
  for (auto* const* one = key.choices; one != nullptr && *one != nullptr; ++one)
    all.emplace_back(fmt::format("\"{}\"", *one), *one);
  if (key.choices != nullptr)
    return all;
  if (key.type == HEDWIG_CONFIG_PATH)
    return {{"a path to nowhere", "/nonexistent/hedwig-check/x"}};
  return {{"\"\"", ""},
          {"5000 letters", std::string(long_text, 'x')},
          {"signs that mean something elsewhere", "%s{}$(x)\\'\"\n\t\x01*?[("},
          {"text that is not ASCII", "gr\xC3\xBC\xC3\x9F"}};
}

std::vector<odd_value> odd_numbers(const hedwig_config_key& key) {
  if (key.minimum != key.maximum)
    return {{"its minimum", key.minimum}, {"its maximum", key.maximum}};
  std::vector<odd_value> all{{"0", std::int64_t{0}}, {"1", std::int64_t{1}}, {"the largest number", INT64_MAX}};
  if (key.type == HEDWIG_CONFIG_INTEGER)
    all.emplace_back("the smallest number", INT64_MIN);
  return all;
}

std::vector<odd_value> odd_values(const hedwig_config_key& key) {
  using texts = std::vector<std::string>;
  std::vector<odd_value> all;
  switch (key.type) {
  case HEDWIG_CONFIG_INTEGER:
  case HEDWIG_CONFIG_DURATION:
  case HEDWIG_CONFIG_SIZE:
    all = odd_numbers(key);
    break;
  case HEDWIG_CONFIG_BOOLEAN:
    all = {{"true", true}, {"false", false}};
    break;
  case HEDWIG_CONFIG_STRINGS:
    all = {
        {"[]", texts{}}, {"[\"\"]", texts{""}}, {"1000 texts", texts(1000, "x")}, {"an odd text", texts{"\x01*?[(%s"}}};
    break;
  case HEDWIG_CONFIG_TABLES:
    all = {{"no table", hedwig_config::tables{}}};
    break;
  default:
    all = odd_texts(key);
  }
  if ((key.flags & HEDWIG_CONFIG_REQUIRED) == 0 && key.default_value == nullptr)
    all.emplace_back("not there", std::nullopt);
  return all;
}

hedwig_config changed(const hedwig_config& base, const char* key, const std::optional<hedwig_config::value>& to) {
  auto copy = base;
  if (to)
    copy.values[key] = *to;
  else
    copy.values.erase(key);
  return copy;
}

std::shared_ptr<const hedwig_config> watched(hedwig_config one, const hedwig_config_schema* schema) {
  auto made = std::make_shared<const hedwig_config>(std::move(one));
  watch_settings(made.get(), schema);
  return made;
}

/// The first entry of a list of tables; null when there is none.
const hedwig_config* first_entry(const hedwig_config& base, const hedwig_config_key& key) {
  auto at = base.values.find(key.name);
  auto* tables = at == base.values.end() ? nullptr : std::get_if<hedwig_config::tables>(&at->second);
  return tables == nullptr || tables->empty() ? nullptr : tables->front().get();
}

} // namespace

std::vector<odd_settings> all_odd(const hedwig_config_schema* schema, const hedwig_config& base) {
  std::vector<odd_settings> all;
  for (std::uint32_t i = 0; schema != nullptr && i < schema->key_count; ++i) {
    auto& key = *schema->keys[i];
    bool reloadable = (key.flags & HEDWIG_CONFIG_RELOADABLE) != 0;
    for (auto& [what, value] : odd_values(key))
      all.push_back(
          {fmt::format("{} = {}", key.name, what), watched(changed(base, key.name, value), schema), reloadable});
    auto* entry = key.type == HEDWIG_CONFIG_TABLES ? first_entry(base, key) : nullptr;
    if (entry == nullptr)
      continue;
    for (auto& one : all_odd(key.nested, *entry)) {
      auto tables = std::get<hedwig_config::tables>(base.values.at(key.name));
      tables.front() = one.settings;
      all.push_back({fmt::format("{}.{}", key.name, one.what), watched(changed(base, key.name, tables), schema),
                     reloadable && one.reloadable});
    }
  }
  return all;
}

bool names_a_key(const hedwig_config_schema* schema, std::string_view where) {
  for (std::uint32_t i = 0; schema != nullptr && i < schema->key_count; ++i) {
    std::string_view name{schema->keys[i]->name};
    if (where == name)
      return true;
    if (where.starts_with(name) && where.substr(name.size()).starts_with('.') &&
        names_a_key(schema->keys[i]->nested, where.substr(name.size() + 1)))
      return true;
  }
  return false;
}

} // namespace hedwig::check
