// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/config_watch.hpp"

#include <hedwig/testing/settings.hpp>

#include <algorithm>
#include <initializer_list>
#include <map>
#include <mutex>

#include <fmt/format.h>

namespace hedwig::check {

namespace {

struct watch_state {
  std::mutex mutex;
  std::map<const hedwig_config*, const hedwig_config_schema*> schemas;
  std::vector<std::string> misread;
};
watch_state& watching() {
  static watch_state state;
  return state;
}

void judge_read(const hedwig_config* settings, const char* name, const char* how,
                std::initializer_list<std::int32_t> types) {
  constexpr std::size_t misread_max = 100;
  std::lock_guard guard{watching().mutex};
  auto found = watching().schemas.find(settings);
  if (found == watching().schemas.end() || watching().misread.size() >= misread_max)
    return;
  auto* schema = found->second;
  for (std::uint32_t i = 0; schema != nullptr && i < schema->key_count; ++i)
    if (auto& key = *schema->keys[i]; std::string_view{key.name} == name) {
      if (types.size() != 0 && std::ranges::find(types, key.type) == types.end())
        watching().misread.push_back(
            fmt::format("{}() of {}, which is declared with the type {}", how, name, key.type));
      return;
    }
  watching().misread.push_back(fmt::format("{}() of {}, which the schema does not declare", how, name));
}

const hedwig_host_config& plain_settings() { return sdk::testing::settings_table(); }

} // namespace

const hedwig_host_config& watched_settings() {
  static const hedwig_host_config table{
      sizeof table,
      0,
      [](const hedwig_config* c, const char* name) {
        judge_read(c, name, "is_set", {});
        return plain_settings().is_set(c, name);
      },
      [](const hedwig_config* c, const char* name) {
        judge_read(c, name, "get_string", {HEDWIG_CONFIG_STRING, HEDWIG_CONFIG_PATH, HEDWIG_CONFIG_SECRET});
        return plain_settings().get_string(c, name);
      },
      [](const hedwig_config* c, const char* name) {
        judge_read(c, name, "get_integer", {HEDWIG_CONFIG_INTEGER, HEDWIG_CONFIG_DURATION, HEDWIG_CONFIG_SIZE});
        return plain_settings().get_integer(c, name);
      },
      [](const hedwig_config* c, const char* name) {
        judge_read(c, name, "get_boolean", {HEDWIG_CONFIG_BOOLEAN});
        return plain_settings().get_boolean(c, name);
      },
      [](const hedwig_config* c, const char* name) {
        judge_read(c, name, "get_count", {HEDWIG_CONFIG_STRINGS, HEDWIG_CONFIG_TABLES});
        return plain_settings().get_count(c, name);
      },
      [](const hedwig_config* c, const char* name, std::size_t i) {
        judge_read(c, name, "get_string_at", {HEDWIG_CONFIG_STRINGS});
        return plain_settings().get_string_at(c, name, i);
      },
      [](const hedwig_config* c, const char* name, std::size_t i) {
        judge_read(c, name, "get_table_at", {HEDWIG_CONFIG_TABLES});
        return plain_settings().get_table_at(c, name, i);
      }};
  return table;
}

void watch_settings(const hedwig_config* settings, const hedwig_config_schema* schema) {
  std::lock_guard guard{watching().mutex};
  watching().schemas[settings] = schema;
}

std::vector<std::string> misread_settings() {
  std::lock_guard guard{watching().mutex};
  return watching().misread;
}

} // namespace hedwig::check
