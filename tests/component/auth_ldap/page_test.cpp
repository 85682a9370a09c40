// SPDX-License-Identifier: Apache-2.0
// The table of settings in the plugin's page is printed from the schema that checks them.
#include <hedwig/auth.h>

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "runtime/plugin/checked_config.hpp"
#include "runtime/plugin/loader.hpp"
#include "tests/unit/plugin/support.hpp"

namespace hedwig::test {
namespace {

TEST(auth_ldap_page, shows_the_settings_of_the_schema) {
  plugin::host_options options;
  options.threads = false;
  auto services = std::make_shared<plugin::host>(std::move(options));
  auto folder = plugin::testing::environment("HEDWIG_PLUGIN_DIR");
  plugin::catalogue all{services, {folder}, {.owners = {}, .allow_group_writable = true}};
  auto found = all.find(HEDWIG_AUTH, "ldap");
  ASSERT_TRUE(found) << found.error().text();
  EXPECT_TRUE(plugin::schema_faults(found->provider->schema).empty());
  auto printed = "\n" + plugin::schema_markdown(found->provider->schema, "auth");
  const std::string path = "docs/plugins/auth-ldap.md";
  std::ostringstream text;
  text << std::ifstream{path}.rdbuf();
  auto page = text.str();
  const std::string begin = "<!-- printed from the schema -->\n";
  auto from = page.find(begin);
  auto to = page.find("\n<!-- end of what is printed -->");
  ASSERT_TRUE(from != page.npos && to != page.npos) << path << " has no marks for its settings";
  from += begin.size();
  if (std::getenv("UPDATE_DOCS"))
    std::ofstream{path} << page.substr(0, from) + printed + page.substr(to);
  else
    EXPECT_EQ(page.substr(from, to - from), printed) << "print it again: UPDATE_DOCS=1 in the environment of this test";
}

} // namespace
} // namespace hedwig::test
