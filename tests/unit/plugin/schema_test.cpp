// SPDX-License-Identifier: Apache-2.0
#include <hedwig/plugin.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <toml++/toml.h>

#include "runtime/plugin/builtin.hpp"
#include "runtime/plugin/checked_config.hpp"

namespace hedwig::plugin {
namespace {

using config::node;
using sdk::key;

constexpr const char* modes[] = {"fast", "safe", nullptr};
constexpr auto host_key = key(HEDWIG_CONFIG_STRING, "host", "Where the server is.", HEDWIG_CONFIG_REQUIRED);
constexpr auto port = sdk::key_in_range(HEDWIG_CONFIG_INTEGER, "port", "Its port.", 0, "389", 1, 65535);
constexpr auto timeout = sdk::key_in_range(HEDWIG_CONFIG_DURATION, "tls.timeout", "Of the handshake.", 0, "5s",
                                           1'000'000'000, 60'000'000'000);
constexpr auto cache = key(HEDWIG_CONFIG_SIZE, "cache", "Memory.", 0, "1MiB");
constexpr auto mode = sdk::key_of_choices("mode", "How to write.", HEDWIG_CONFIG_RELOADABLE, "safe", modes);
constexpr auto secret = key(HEDWIG_CONFIG_SECRET, "secret", "Password.");
constexpr auto path = key(HEDWIG_CONFIG_PATH, "path", "A file.");
constexpr auto names = key(HEDWIG_CONFIG_STRINGS, "names", "Names.", 0, "[\"a\", \"b\"]");
constexpr auto old = key(HEDWIG_CONFIG_BOOLEAN, "old", "Use mode.", HEDWIG_CONFIG_DEPRECATED);
constexpr auto nested_name = key(HEDWIG_CONFIG_STRING, "name", "Its name.", HEDWIG_CONFIG_REQUIRED);
constexpr const hedwig_config_key* nested_keys[] = {&nested_name};
constexpr hedwig_config_schema nested_schema{sizeof nested_schema, 1, nested_keys};
constexpr auto tables = key(HEDWIG_CONFIG_TABLES, "server", "Servers.", 0, nullptr, &nested_schema);
constexpr const hedwig_config_key* keys[] = {&host_key, &port, &timeout, &cache, &mode,
                                             &secret,   &path, &names,   &old,   &tables};
constexpr hedwig_config_schema schema{sizeof schema, std::size(keys), keys};

/// TOML to the form in which the program hands tables over.
node node_of(const toml::node& from) {
  node out;
  out.line = from.source().begin.line;
  out.column = from.source().begin.column;
  if (const auto* text = from.as_string()) {
    out.type = node::kind::string;
    out.text = **text;
  } else if (const auto* number = from.as_integer()) {
    out.type = node::kind::integer;
    out.integer = **number;
  } else if (const auto* yes = from.as_boolean()) {
    out.type = node::kind::boolean;
    out.boolean = **yes;
  } else if (const auto* list = from.as_array()) {
    out.type = node::kind::array;
    for (auto& item : *list)
      out.items.push_back(node_of(item));
  } else if (const auto* table = from.as_table()) {
    for (auto& [name, value] : *table)
      out.members.push_back(
          {std::string{name.str()}, name.source().begin.line, name.source().begin.column, node_of(value)});
  } else {
    out.type = node::kind::other;
  }
  return out;
}

checked check(std::string_view text, config_source source = {}) {
  source.file = "h.toml";
  source.table = "auth.ldap";
  source.host_keys = {"use"};
  if (source.directory.empty())
    source.directory = "/etc/hedwig";
  return check_config(node_of(toml::parse(text)), &schema, source);
}

std::vector<std::string> texts(const std::vector<config::diagnostic>& list) {
  std::vector<std::string> out;
  for (auto& one : list)
    out.push_back(one.file + ":" + std::to_string(one.line) + ":" + std::to_string(one.column) + ": " + one.message);
  return out;
}

struct wrong {
  const char* toml;
  const char* error;
};

class config_errors : public ::testing::TestWithParam<wrong> {};

TEST_P(config_errors, say_where_and_what) {
  auto out = check(std::string{"host = \"x\"\n"} + GetParam().toml);
  EXPECT_EQ(out.config, nullptr);
  EXPECT_THAT(texts(out.errors), ::testing::ElementsAre(::testing::HasSubstr(GetParam().error)));
}

INSTANTIATE_TEST_SUITE_P(
    all, config_errors,
    ::testing::Values(wrong{"prot = 1", "h.toml:2:1: auth.ldap: unknown key \"prot\": did you mean \"port\"?"},
                      wrong{"port = \"1\"", "h.toml:2:8: auth.ldap.port: a string stands where an integer belongs"},
                      wrong{"port = 0", "h.toml:2:8: auth.ldap.port: 0 is out of range: 1 to 65535"},
                      wrong{"tls.timeout = 5", "h.toml:2:15: auth.ldap.tls.timeout: 5 needs a unit, such as \"5s\""},
                      wrong{"tls.timeout = \"2m\"", "auth.ldap.tls.timeout: 2m is out of range: 1s to 1m"},
                      wrong{"tls.timout = \"2s\"", "unknown key \"tls.timout\": did you mean \"tls.timeout\"?"},
                      wrong{"cache = true", "auth.ldap.cache: a boolean stands where a size"},
                      wrong{"cache = -1", "a size is never negative"},
                      wrong{"mode = \"sfae\"", "\"sfae\" is not one of fast, safe: did you mean \"safe\"?"},
                      wrong{"names = \"a\"", "a string stands where a list of strings"},
                      wrong{"names = [1]", "an integer stands where a string of a list belongs"},
                      wrong{"path = \"\"", "the path is empty"},
                      wrong{"secret = {env = \"HEDWIG_TEST_UNSET\"}", "\"HEDWIG_TEST_UNSET\" is not set"},
                      wrong{"secret = {file = \"/nowhere\"}", "is no readable file"},
                      wrong{"secret = {fiel = \"x\"}", "stands where a text"},
                      wrong{"[[server]]\nnaem = \"x\"\nname = \"y\"",
                            "h.toml:3:1: auth.ldap.server: unknown key \"naem\""},
                      wrong{"[[server]]", "auth.ldap.server: name is missing: Its name."},
                      wrong{"[server]\nname = \"x\"", "write [[auth.ldap.server]]"}));

TEST(check_config, reports_all_errors_at_once) {
  auto out = check("port = 0\nmode = 1\nnope = 2\n");
  EXPECT_EQ(out.errors.size(), 4U); // and the host is missing
}

TEST(check_config, fills_in_defaults_and_reads_every_type) {
  auto out = check("use = \"ldap\"\nhost = \"x\"\npath = \"users\"\ncache = 4096\n[[server]]\nname = \"one\"\n");
  ASSERT_NE(out.config, nullptr) << ::testing::PrintToString(texts(out.errors));
  const auto* read = config_service();
  auto* c = out.config.get();
  EXPECT_EQ(read->get_integer(c, "port"), 389);
  EXPECT_EQ(read->get_integer(c, "tls.timeout"), 5'000'000'000);
  EXPECT_EQ(read->get_integer(c, "cache"), 4096);
  EXPECT_EQ(sdk::view(read->get_string(c, "mode")), "safe");
  EXPECT_EQ(sdk::view(read->get_string(c, "path")), "/etc/hedwig/users");
  EXPECT_EQ(sdk::view(read->get_string_at(c, "names", 1)), "b");
  EXPECT_EQ(sdk::view(read->get_string(read->get_table_at(c, "server", 0), "name")), "one");
  EXPECT_EQ(read->is_set(c, "secret"), 0);
  // A plugin's mistakes are not the host's end.
  EXPECT_EQ(read->get_integer(c, "host"), 0);
  EXPECT_EQ(read->get_string_at(c, "names", 9).size, 0U);
  EXPECT_EQ(read->get_count(read->get_table_at(c, "server", 9), "name"), 0U);
}

TEST(check_config, resolves_secrets) {
  auto directory = std::filesystem::path{::testing::TempDir()};
  std::ofstream{directory / "hedwig-test-secret"} << "from file\n";
  auto out = check("host = \"x\"\nsecret = {file = \"hedwig-test-secret\"}", config_source{{}, {}, directory, {}});
  ASSERT_NE(out.config, nullptr);
  EXPECT_EQ(sdk::view(config_service()->get_string(out.config.get(), "secret")), "from file");
  setenv("HEDWIG_TEST_SECRET", "from env", 1);
  out = check("host = \"x\"\nsecret = {env = \"HEDWIG_TEST_SECRET\"}");
  ASSERT_NE(out.config, nullptr);
  EXPECT_EQ(sdk::view(config_service()->get_string(out.config.get(), "secret")), "from env");
}

TEST(check_config, warns_of_deprecated_keys) {
  auto out = check("host = \"x\"\nold = true");
  EXPECT_NE(out.config, nullptr);
  EXPECT_THAT(texts(out.warnings), ::testing::ElementsAre("h.toml:2:1: auth.ldap.old is deprecated: Use mode."));
}

TEST(schema, prints_its_reference) {
  auto text = schema_markdown(&schema, "auth.ldap");
  EXPECT_THAT(text, ::testing::HasSubstr("| `port` | integer, 1 to 65535 | `389` | Its port. |"));
  EXPECT_THAT(text, ::testing::HasSubstr("| `host` | string | required | Where the server is. |"));
  EXPECT_THAT(text, ::testing::HasSubstr("`fast`, `safe` | `safe` | How to write. Read again on SIGHUP. |"));
  EXPECT_THAT(text, ::testing::HasSubstr("Each `[[auth.ldap.server]]`:"));
}

TEST(schema, is_checked_itself) {
  EXPECT_THAT(schema_faults(&schema), ::testing::IsEmpty());
  static constexpr auto bad_default = key(HEDWIG_CONFIG_DURATION, "a", "Help.", 0, "soon");
  static constexpr auto no_help = key(HEDWIG_CONFIG_STRING, "b", "");
  static constexpr auto bad_type = key(42, "c", "Help.");
  static constexpr auto no_nested = key(HEDWIG_CONFIG_TABLES, "d", "Help.");
  static constexpr const hedwig_config_key* bad_keys[] = {&bad_default, &no_help, &bad_type, &no_nested, &no_nested};
  hedwig_config_schema bad{sizeof bad, std::size(bad_keys), bad_keys};
  EXPECT_EQ(schema_faults(&bad).size(), 5U);
}

TEST(builtin, turns_old_settings_into_provider_tables) {
  std::vector<config::auth_user> users{{"ada", config::secret{"x"}}};
  auto table = static_auth_table(users);
  EXPECT_EQ(table.find("user")->items.at(0).find("username")->text, "ada");
  std::vector<config::domain_rule> rules{
      {config::filter_type::to_domain_filter, {"a.test"}, config::filter_action::deny}};
  auto filter = domain_filter_table(rules);
  EXPECT_EQ(filter.find("rule")->items.at(0).find("type")->text, "to_domain_filter");
  EXPECT_EQ(filter.find("rule")->items.at(0).find("action")->text, "deny");
}

} // namespace
} // namespace hedwig::plugin
