// SPDX-License-Identifier: Apache-2.0
#include <hedwig/auth.h>

#include "tests/unit/plugin/settings_page.hpp"

namespace hedwig::test {
namespace {

TEST(auth_oauth_page, shows_the_settings_of_the_schema) {
  plugin::testing::expect_settings_page(HEDWIG_AUTH, "oauth", "auth", "docs/plugins/auth-oauth.md");
}

} // namespace
} // namespace hedwig::test
