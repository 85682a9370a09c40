// SPDX-License-Identifier: Apache-2.0
// The functions by which a plugin reads its table. A wrong name or type is a bug of the plugin: it is said once a call
// on standard error, where a developer looks, and the zero value goes back.
#include <cstdio>

#include "runtime/plugin/checked_config.hpp"
#include "runtime/plugin/current_call.hpp"

namespace hedwig::plugin {

namespace {

template <class T>
const T* look_up(const hedwig_config* config, const char* name) {
  auto found = config->values.find(std::string_view{name});
  if (found == config->values.end())
    return nullptr; // no default and not written
  if (const auto* held = std::get_if<T>(&found->second))
    return held;
  auto where = current_call();
  std::fprintf(stderr, "plugin %s reads the setting %s as the wrong type\n", where.instance ? where.instance : "?",
               name);
  return nullptr;
}

int32_t is_set(const hedwig_config* config, const char* name) {
  return config->values.contains(std::string_view{name}) ? 1 : 0;
}

hedwig_str get_string(const hedwig_config* config, const char* name) {
  const auto* text = look_up<std::string>(config, name);
  return text == nullptr ? hedwig_str{} : hedwig_str{text->data(), text->size()};
}

int64_t get_integer(const hedwig_config* config, const char* name) {
  const auto* number = look_up<std::int64_t>(config, name);
  return number == nullptr ? 0 : *number;
}

int32_t get_boolean(const hedwig_config* config, const char* name) {
  const auto* yes = look_up<bool>(config, name);
  return yes != nullptr && *yes ? 1 : 0;
}

size_t get_count(const hedwig_config* config, const char* name) {
  auto found = config->values.find(std::string_view{name});
  if (found == config->values.end())
    return 0;
  if (const auto* texts = std::get_if<std::vector<std::string>>(&found->second))
    return texts->size();
  const auto* tables = std::get_if<hedwig_config::tables>(&found->second);
  return tables == nullptr ? 0 : tables->size();
}

hedwig_str get_string_at(const hedwig_config* config, const char* name, size_t index) {
  const auto* texts = look_up<std::vector<std::string>>(config, name);
  if (texts == nullptr || index >= texts->size())
    return {};
  return {(*texts)[index].data(), (*texts)[index].size()};
}

const hedwig_config* get_table_at(const hedwig_config* config, const char* name, size_t index) {
  static const hedwig_config empty{};
  const auto* tables = look_up<hedwig_config::tables>(config, name);
  return tables == nullptr || index >= tables->size() ? &empty : (*tables)[index].get();
}

constexpr hedwig_host_config table{sizeof table, 0,         is_set,        get_string,  get_integer,
                                   get_boolean,  get_count, get_string_at, get_table_at};

} // namespace

const hedwig_host_config* config_service() noexcept { return &table; }

} // namespace hedwig::plugin
