// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/plugin/checked_config.hpp"
#include "runtime/plugin/loader.hpp"
#include "tests/unit/plugin/support.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

namespace hedwig::plugin::testing {

/// The table of settings in the page at `path` is what the schema of the provider prints. `list`: "auth", "filters".
inline void expect_settings_page(const char* interface_id, const std::string& name, const char* list,
                                 const std::string& path) {
  host_options options;
  options.threads = false;
  auto services = std::make_shared<host>(std::move(options));
  catalogue all{services, {environment("HEDWIG_PLUGIN_DIR")}, {.owners = {}, .allow_group_writable = true}};
  auto found = all.find(interface_id, name);
  ASSERT_TRUE(found) << found.error().text();
  EXPECT_TRUE(schema_faults(found->provider->schema).empty());
  auto printed = "\n" + schema_markdown(found->provider->schema, list);
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

} // namespace hedwig::plugin::testing
