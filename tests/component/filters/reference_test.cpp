// SPDX-License-Identifier: Apache-2.0
// The table of settings in the page of each plugin is printed from the schema that checks them.
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/component/filters/running_filter.hpp"

namespace hedwig::plugin::testing {
namespace {

std::string read_page(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream{path}.rdbuf();
  return text.str();
}

class filter_page : public ::testing::TestWithParam<const char*> {};

TEST_P(filter_page, shows_the_settings_of_the_schema) {
  const std::string name = GetParam();
  host_options options;
  options.threads = false;
  auto services = std::make_shared<host>(std::move(options));
  catalogue all{services, {environment("HEDWIG_PLUGIN_DIR")}, {.owners = {}, .allow_group_writable = true}};
  auto found = all.find(HEDWIG_FILTER, name);
  ASSERT_TRUE(found) << found.error().text();
  EXPECT_TRUE(schema_faults(found->provider->schema).empty());
  auto printed = "\n" + schema_markdown(found->provider->schema, "filters");
  // One page for the two of the lists: what "dnsbl" has, "dnsbl-tag" has too.
  auto path = "docs/plugins/filter-" + (name == "dnsbl-tag" ? "dnsbl" : name) + ".md";
  auto page = read_page(path);
  const std::string begin = "<!-- printed from the schema -->\n";
  const std::string end = "\n<!-- end of what is printed -->";
  auto from = page.find(begin);
  auto to = page.find(end);
  ASSERT_TRUE(from != page.npos && to != page.npos) << path << " has no marks for its settings";
  from += begin.size();
  if (std::getenv("UPDATE_DOCS"))
    std::ofstream{path} << page.substr(0, from) + printed + page.substr(to);
  else
    EXPECT_EQ(page.substr(from, to - from), printed) << "print it again: UPDATE_DOCS=1 in the environment of this test";
}

INSTANTIATE_TEST_SUITE_P(all, filter_page, ::testing::Values("headers", "ratelimit", "milter", "dnsbl-tag"));

} // namespace
} // namespace hedwig::plugin::testing
