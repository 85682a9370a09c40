// SPDX-License-Identifier: Apache-2.0
#include "plugins/auth-sql/query_text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <hedwig/auth.h>

#include "tests/unit/plugin/settings_page.hpp"

namespace hedwig::auth_sql {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string why_not(const char* written) {
  try {
    query_text made{written};
    return "it is taken";
  } catch (const std::invalid_argument& e) {
    return e.what();
  }
}

TEST(query_text, makes_each_placeholder_a_parameter) {
  query_text made{"SELECT '{', \"a{b\" FROM t WHERE a = {user} AND b = {local} AND c = {user}; \n"};
  EXPECT_EQ(made.sql(2), "SELECT * FROM (\nSELECT '{', \"a{b\" FROM t WHERE a = $1 AND b = $2 AND c = $1\n) AS hedwig "
                         "LIMIT 2");
  EXPECT_THAT(made.parameters(), ElementsAre("user", "local"));
}

TEST(query_text, leaves_quotes_comments_and_other_braces_alone) {
  query_text made{"SELECT 'it''s', $x$ ; ' $x$, ARRAY[1:2] -- {user} ; '\nFROM t /* ; {user} ' */ WHERE a = {user}"};
  EXPECT_THAT(made.parameters(), ElementsAre("user"));
  EXPECT_THAT(query_text{"SELECT {User} {} {a b} -- the end"}.sql(1), HasSubstr("{User} {} {a b} -- the end\n)"));
}

TEST(query_text, says_what_to_write_instead) {
  EXPECT_THAT(why_not("SELECT 1 FROM t WHERE a = '{user}'"), HasSubstr("{user} inside quotes"));
  EXPECT_THAT(why_not("SELECT 1 FROM t WHERE a = 'x{user}@y'"), HasSubstr("{user} inside quotes"));
  EXPECT_THAT(why_not("SELECT 1; DROP TABLE t"), HasSubstr("more than one query"));
  EXPECT_THAT(why_not("SELECT 'a"), HasSubstr("does not end"));
  EXPECT_THAT(why_not("SELECT /* a"), HasSubstr("does not end"));
  EXPECT_THAT(why_not("SELECT $x$ a"), HasSubstr("does not end"));
  EXPECT_THAT(why_not("SELECT 1 WHERE a = $1"), HasSubstr("write parameters as {user}"));
  EXPECT_THAT(why_not(std::string(20'000, 'x').c_str()), HasSubstr("longer"));
}

TEST(auth_sql_page, shows_the_settings_of_the_schema) {
  plugin::testing::expect_settings_page(HEDWIG_AUTH, "sql", "auth", "docs/plugins/auth-sql.md");
}

} // namespace
} // namespace hedwig::auth_sql
