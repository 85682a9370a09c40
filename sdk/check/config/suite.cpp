// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/config/suite.hpp"

#include <hedwig/testing/settings.hpp>

#include <algorithm>
#include <array>
#include <set>

#include "sdk/check/config/odd_settings.hpp"
#include "sdk/check/config_watch.hpp"
#include "sdk/check/instance.hpp"
#include "sdk/check/rules.hpp"
#include "sdk/check/traffic.hpp"

namespace hedwig::check {

namespace {

// ---- the schema itself ----

constexpr int schema_depth_max = 4; // as the relay has it

bool is_key_name(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
  });
}

bool is_number(const hedwig_config_key& key) {
  return key.type == HEDWIG_CONFIG_INTEGER || key.type == HEDWIG_CONFIG_DURATION || key.type == HEDWIG_CONFIG_SIZE;
}

/// The last word of its name is one that secrets have.
bool is_secret_by_name(std::string_view name) {
  auto last = name.substr(name.find_last_of("._-") + 1); // all of it when there is none
  for (auto* word : {"password", "passwd", "passphrase", "secret"})
    if (last == word)
      return true;
  return false;
}

void judge_key(const hedwig_config_key& key, const std::string& name) {
  auto& rule = rules::well_formed_schema;
  expect(key.type >= HEDWIG_CONFIG_STRING && key.type <= HEDWIG_CONFIG_TABLES, rule,
         "{} has the type {}, which config.h does not define", name, key.type);
  expect(key.help != nullptr && *key.help != '\0', rule, "{} has no help", name);
  bool ranged = key.minimum != 0 || key.maximum != 0;
  expect(!ranged || is_number(key), rule, "{} is no number and has a range", name);
  expect(key.minimum <= key.maximum, rule, "{} has a minimum of {} above its maximum of {}", name, key.minimum,
         key.maximum);
  expect(key.choices == nullptr || (key.type == HEDWIG_CONFIG_STRING && *key.choices != nullptr), rule,
         "{} has choices and is no STRING, or a list of none", name);
  expect((key.nested != nullptr) == (key.type == HEDWIG_CONFIG_TABLES), rule,
         "{} is of TABLES without the schema of their keys, or has one and is not", name);
  expect(key.default_value == nullptr || (key.flags & HEDWIG_CONFIG_REQUIRED) == 0, rule,
         "{} is REQUIRED and has a default", name);
  try {
    if (key.default_value != nullptr)
      read_default(key);
  } catch (const unusable& e) {
    throw broken{rule, fmt::format("the default of {} breaks its own schema: {}", name, e.what())};
  }
}

void judge_schema(const hedwig_config_schema* schema, const std::string& prefix, int depth) {
  auto& rule = rules::well_formed_schema;
  std::set<std::string_view> names;
  expect(depth <= schema_depth_max, rule, "{} is nested too deeply", prefix);
  for (std::uint32_t i = 0; schema != nullptr && i < schema->key_count; ++i) {
    auto& key = *schema->keys[i];
    expect(key.name != nullptr && is_key_name(key.name), rule,
           "key {} below \"{}\" has no name, or no good one: \"{}\"", i + 1, prefix,
           key.name == nullptr ? "" : key.name);
    auto name = prefix + key.name;
    expect(names.insert(key.name).second, rule, "{} is declared twice", name);
    judge_key(key, name);
    judge_schema(key.nested, name + ".", depth + 1);
  }
}

void declares_its_settings(context& run) {
  auto& plugin = *run.chosen().plugin;
  for (std::uint32_t i = 0; i < plugin.provider_count; ++i)
    judge_schema(plugin.providers[i]->schema, {}, 1);
}

void find_unmarked(const hedwig_config_schema* schema, const std::string& prefix) {
  for (std::uint32_t i = 0; schema != nullptr && i < schema->key_count; ++i) {
    auto& key = *schema->keys[i];
    expect(key.type != HEDWIG_CONFIG_STRING || !is_secret_by_name(key.name), rules::marks_secrets,
           "{}{} is a STRING: by its name it belongs among the SECRETs", prefix, key.name);
    find_unmarked(key.nested, prefix + key.name + ".");
  }
}

// ---- what the plugin makes of settings ----

void reads_what_it_declares(context& run) {
  instance one{run};
  one.begin();
  if (one.provider().reload != nullptr)
    one.reload(run.config());
  one.end();
  auto wrong = misread_settings();
  expect(wrong.empty(), rules::reads_as_declared, "{}", wrong.empty() ? "" : wrong.front());
}

/// The values of SECRET keys, those of nested tables among them, that are long enough to be looked for.
void collect_secrets(const hedwig_config_schema* schema, const hedwig_config& from, std::vector<std::string>& into) {
  constexpr std::size_t telling = 6;
  for (std::uint32_t i = 0; schema != nullptr && i < schema->key_count; ++i) {
    auto& key = *schema->keys[i];
    auto at = from.values.find(key.name);
    if (at == from.values.end())
      continue;
    auto* text = std::get_if<std::string>(&at->second);
    if (key.type == HEDWIG_CONFIG_SECRET && text != nullptr && text->size() >= telling)
      into.push_back(*text);
    if (auto* tables = std::get_if<hedwig_config::tables>(&at->second))
      for (auto& one : *tables)
        collect_secrets(key.nested, *one, into);
  }
}

void expect_kept(const std::vector<std::string>& secrets, const std::string& text, std::string_view where) {
  for (auto& secret : secrets)
    expect(text.find(secret) == std::string::npos, rules::keeps_secrets, "{} shows the value of a SECRET", where);
}

void keeps_its_secrets(context& run) {
  find_unmarked(run.provider().schema, {});
  auto settings = run.config();
  std::vector<std::string> secrets;
  collect_secrets(run.provider().schema, *settings, secrets);
  if (secrets.empty())
    return;
  instance one{run, settings};
  one.services().log_everything();
  one.begin();
  converse(run, one, 0);
  if (one.provider().reload != nullptr)
    one.reload(settings);
  one.end();
  for (auto& line : one.services().logs())
    expect_kept(secrets, line, "a line of the log");
  for (auto& odd : all_odd(run.provider().schema, *settings)) {
    instance other{run, odd.settings};
    if (other.try_create() == HEDWIG_OK)
      other.drop();
    expect_kept(secrets, other.error(), "an error");
  }
}

void answers_odd_settings(context& run) {
  for (auto& odd : all_odd(run.provider().schema, *run.config())) {
    std::printf("%s\n", odd.what.c_str()); // the last one stands in the report of a crash
    std::fflush(stdout);
    instance one{run, odd.settings};
    auto status = one.try_create();
    if (status == HEDWIG_OK) {
      one.drop();
      continue;
    }
    expect(status < HEDWIG_OK && status >= HEDWIG_E_INTERNAL, rules::known_status, "with {} it gave {}", odd.what,
           name_of(status));
    expect(!one.error().empty(), rules::explains_refusal, "with {} it gave {} and no text", odd.what, name_of(status));
    expect(status != HEDWIG_E_CONFIG || names_a_key(run.provider().schema, one.where()), rules::explains_refusal,
           "with {} it refused \"{}\", which is no key: {}", odd.what, one.where(), one.error());
  }
}

// ---- reload ----

void expect_reload(context& run) {
  if (run.provider().reload == nullptr)
    throw skipped{"it takes new settings at a restart only"};
}

void expect_same(const std::vector<std::string>& before, const std::vector<std::string>& now, const rule& which,
                 std::string_view after) {
  for (std::size_t i = 0; i < std::max(before.size(), now.size()); ++i) {
    auto was = i < before.size() ? before[i] : "nothing", is = i < now.size() ? now[i] : "nothing";
    expect(was == is, which, "after {} it says \"{}\", before \"{}\"", after, is, was);
  }
}

void reloads_the_same(context& run) {
  expect_reload(run);
  instance one{run};
  one.begin();
  auto before = converse(run, one, 0);
  for (int i = 0; i < 2; ++i) {
    auto status = one.reload(run.config());
    expect(status == HEDWIG_OK, rules::old_stay, "reload() of the same settings completed with {}: {}", name_of(status),
           one.error());
  }
  expect_same(before, converse(run, one, 0), rules::old_stay, "a reload of the same settings");
  one.end();
}

void keeps_old_settings(context& run) {
  expect_reload(run);
  instance one{run};
  one.begin();
  auto before = converse(run, one, 0);
  bool refused = false;
  for (auto& odd : all_odd(run.provider().schema, *run.config())) {
    instance probe{run, odd.settings};
    if (!odd.reloadable || probe.try_create() != HEDWIG_OK)
      continue; // a host would not hand it over
    probe.drop();
    auto status = one.reload(odd.settings);
    if (status == HEDWIG_OK) {
      status = one.reload(run.config());
      expect(status == HEDWIG_OK, rules::old_stay, "the old settings, after {}, were refused with {}: {}", odd.what,
             name_of(status), one.error());
      continue;
    }
    refused = true;
    expect(!one.error().empty(), rules::says_why, "reload() with {} completed with {} and no text", odd.what,
           name_of(status));
    expect_same(before, converse(run, one, 0), rules::old_stay, "a refused reload with " + odd.what);
  }
  expect_same(before, converse(run, one, 0), rules::old_stay, refused ? "refused reloads" : "reloads there and back");
  one.end();
}

constexpr std::array config_tests{
    test{"schema", "every key has name, type, help and a default that it allows itself", 1, declares_its_settings},
    test{"reads", "it reads the settings that it declares, by their types", 2, reads_what_it_declares},
    test{"odd", "settings that its schema allows are taken, or refused with the key and a text", 2,
         answers_odd_settings},
    test{"secrets", "secrets are marked as such and never shown", 2, keeps_its_secrets},
    test{"reload-same", "the same settings again change nothing", 3, reloads_the_same},
    test{"reload-refused", "settings that reload() refuses leave the old ones in force", 4, keeps_old_settings},
};

} // namespace

suite config_suite() { return {"config", {}, config_tests, {}}; }

} // namespace hedwig::check
