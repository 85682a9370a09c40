// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/config/suite.hpp"

#include <array>

#include "sdk/check/context.hpp"
#include "sdk/check/rules.hpp"

namespace hedwig::check {

namespace {

void judge_schema(const hedwig_config_schema* schema, const std::string& prefix) {
  for (std::uint32_t i = 0; schema != nullptr && i < schema->key_count; ++i) {
    auto& key = *schema->keys[i];
    expect(key.name != nullptr && *key.name != '\0', rules::documents_keys, "a key below \"{}\" has no name", prefix);
    expect(key.help != nullptr && *key.help != '\0', rules::documents_keys, "{}{} has no help", prefix, key.name);
    expect(key.type >= HEDWIG_CONFIG_STRING && key.type <= HEDWIG_CONFIG_TABLES, rules::documents_keys,
           "{}{} has the type {}, which config.h does not define", prefix, key.name, key.type);
    judge_schema(key.nested, prefix + key.name + ".");
  }
}

void declares_its_settings(context& run) {
  auto& plugin = *run.chosen().plugin;
  for (std::uint32_t i = 0; i < plugin.provider_count; ++i)
    judge_schema(plugin.providers[i]->schema, {});
}

constexpr std::array config_tests{
    test{"schema", "every key has a name, a type and a help text", 1, declares_its_settings},
};

} // namespace

suite config_suite() { return {"config", {}, config_tests, {}}; }

} // namespace hedwig::check
