// SPDX-License-Identifier: Apache-2.0
#include <hedwig/auth.h>

#include "tests/unit/plugin/settings_page.hpp"

namespace hedwig::test {
namespace {

TEST(auth_ldap_page, shows_the_settings_of_the_schema) {
  plugin::testing::expect_settings_page(HEDWIG_AUTH, "ldap", "auth", "docs/plugins/auth-ldap.md");
}

} // namespace
} // namespace hedwig::test
