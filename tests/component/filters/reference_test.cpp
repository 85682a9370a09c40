// SPDX-License-Identifier: Apache-2.0
#include <hedwig/filter.h>

#include "tests/unit/plugin/settings_page.hpp"

namespace hedwig::plugin::testing {
namespace {

class filter_page : public ::testing::TestWithParam<const char*> {};

TEST_P(filter_page, shows_the_settings_of_the_schema) {
  const std::string name = GetParam();
  // One page for the two of the lists: what "dnsbl" has, "dnsbl-tag" has too.
  auto page = name == "dnsbl-tag" ? std::string{"dnsbl"} : name;
  expect_settings_page(HEDWIG_FILTER, name, "filters", "docs/plugins/filter-" + page + ".md");
}

INSTANTIATE_TEST_SUITE_P(all, filter_page, ::testing::Values("headers", "ratelimit", "milter", "dnsbl-tag"));

} // namespace
} // namespace hedwig::plugin::testing
