// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/settings_service.hpp"

#include "sdk/check/settings.hpp"

namespace hedwig::check {

namespace {

template <class Value>
const Value* find(const hedwig_config* config, const char* name) {
  auto at = config->values.find(name);
  return at == config->values.end() ? nullptr : std::get_if<Value>(&at->second);
}

hedwig_str borrowed(const std::string* text) {
  return text == nullptr ? hedwig_str{} : hedwig_str{text->data(), text->size()};
}

std::int32_t is_set(const hedwig_config* config, const char* name) { return config->values.contains(name) ? 1 : 0; }

hedwig_str get_string(const hedwig_config* config, const char* name) {
  return borrowed(find<std::string>(config, name));
}

std::int64_t get_integer(const hedwig_config* config, const char* name) {
  auto* number = find<std::int64_t>(config, name);
  return number == nullptr ? 0 : *number;
}

std::int32_t get_boolean(const hedwig_config* config, const char* name) {
  auto* truth = find<bool>(config, name);
  return truth != nullptr && *truth ? 1 : 0;
}

std::size_t get_count(const hedwig_config* config, const char* name) {
  if (auto* texts = find<std::vector<std::string>>(config, name))
    return texts->size();
  auto* tables = find<hedwig_config::tables>(config, name);
  return tables == nullptr ? 0 : tables->size();
}

hedwig_str get_string_at(const hedwig_config* config, const char* name, std::size_t index) {
  auto* texts = find<std::vector<std::string>>(config, name);
  return borrowed(texts == nullptr || index >= texts->size() ? nullptr : &(*texts)[index]);
}

const hedwig_config* get_table_at(const hedwig_config* config, const char* name, std::size_t index) {
  auto* tables = find<hedwig_config::tables>(config, name);
  return tables == nullptr || index >= tables->size() ? nullptr : (*tables)[index].get();
}

} // namespace

const hedwig_host_config& settings_table() {
  static const hedwig_host_config table{sizeof table, 0,         is_set,        get_string,  get_integer,
                                        get_boolean,  get_count, get_string_at, get_table_at};
  return table;
}

} // namespace hedwig::check
