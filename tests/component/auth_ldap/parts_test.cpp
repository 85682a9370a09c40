// SPDX-License-Identifier: Apache-2.0
// The parts of auth-ldap that need no server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ldap.h>

#include "plugins/auth-ldap/bind_answer.hpp"
#include "plugins/auth-ldap/groups.hpp"
#include "plugins/auth-ldap/policy.hpp"
#include "plugins/auth-ldap/text.hpp"
#include "plugins/common/login_cache.hpp"
#include "plugins/common/scram_text.hpp"

namespace hedwig::auth_ldap {
namespace {

using logins::login_cache;
using logins::read_scram;

using ::testing::ElementsAre;

TEST(text, escapes_filters_as_rfc_4515_says) {
  EXPECT_EQ(escape_filter("Parens R Us (for all your parenthetical needs)"),
            "Parens R Us \\28for all your parenthetical needs\\29");
  EXPECT_EQ(escape_filter("*"), "\\2a");
  EXPECT_EQ(escape_filter("C:\\MyFile"), "C:\\5cMyFile");
  EXPECT_EQ(escape_filter(std::string{"\0\x04", 2}), "\\00\\04");
  EXPECT_EQ(escape_filter("Lu\xc4\x8di\xc4\x87"), "Lu\\c4\\8di\\c4\\87");
}

TEST(text, escapes_dns_as_rfc_4514_says) {
  EXPECT_EQ(escape_dn("James \"Jim\" Smith, III"), "James \\22Jim\\22 Smith\\2c III");
  EXPECT_EQ(escape_dn(" a "), "\\20a\\20");
  EXPECT_EQ(escape_dn("#a=b+c;<d>\\"), "\\23a\\3db\\2bc\\3b\\3cd\\3e\\5c");
}

TEST(text, undoes_the_escapes_of_a_group_dn) {
  EXPECT_EQ(first_value("cn=Sales\\2C East,ou=groups"), "Sales, East");
  EXPECT_EQ(first_value("cn=a\\,b+uid=c,dc=x"), "a,b");
  EXPECT_EQ(first_value("cn"), "");
  EXPECT_EQ(first_value("cn=a\\"), "a\\");
}

TEST(text, fills_patterns_once) {
  EXPECT_EQ(fill("a{user}b{x}{", {{"user", "{x}"}, {"y", "z"}}), "a{x}b{x}{");
  EXPECT_EQ(unknown_placeholder("{user}{usr}", {"user"}), "usr");
  EXPECT_EQ(unknown_placeholder("{user", {"user"}), "user");
  EXPECT_EQ(unknown_placeholder("{user}", {"user"}), std::nullopt);
}

TEST(text, knows_names_from_what_is_none) {
  for (auto* good : {"a", "ada@example.com", "Ren\xc3\xa9", "DOMAIN\\ada", "\xf0\x9f\xa6\x89"})
    EXPECT_TRUE(is_name(good)) << good;
  for (auto* bad : {"", "a\x7f", "a\tb", "\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff"})
    EXPECT_FALSE(is_name(bad)) << bad;
  EXPECT_TRUE(is_name(std::string(255, 'a')));
  EXPECT_FALSE(is_name(std::string(256, 'a')));
}

TEST(bind_answer, tells_the_reasons_of_active_directory_apart) {
  auto of = [](const char* data) {
    return judge_bind(LDAP_INVALID_CREDENTIALS,
                      std::string{"80090308: LdapErr: DSID-0C09042A, comment: AcceptSecurityContext error, data "} +
                          data + ", v3839",
                      {})
        .verdict;
  };
  EXPECT_EQ(of("52e"), bind_verdict::wrong_password);
  EXPECT_EQ(of("525"), bind_verdict::wrong_password);
  EXPECT_EQ(of("530"), bind_verdict::not_now);
  EXPECT_EQ(of("531"), bind_verdict::not_now);
  EXPECT_EQ(of("532"), bind_verdict::password_expired);
  EXPECT_EQ(of("533"), bind_verdict::disabled);
  EXPECT_EQ(of("701"), bind_verdict::account_expired);
  EXPECT_EQ(of("773"), bind_verdict::must_change);
  EXPECT_EQ(of("775"), bind_verdict::locked);
  EXPECT_EQ(of("zz"), bind_verdict::wrong_password);
}

TEST(bind_answer, says_yes_to_nothing_but_success) {
  for (int code = -20; code <= 130; ++code)
    EXPECT_EQ(judge_bind(code, "", {}).verdict == bind_verdict::right, code == LDAP_SUCCESS) << code;
  EXPECT_EQ(judge_bind(LDAP_SUCCESS, "", {.error = PP_changeAfterReset}).verdict, bind_verdict::must_change);
  EXPECT_EQ(judge_bind(LDAP_CONFIDENTIALITY_REQUIRED, "", {}).verdict, bind_verdict::impossible);
}

TEST(scram, reads_what_rfc_5803_writes_and_nothing_else) {
  std::string good = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
                     "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
  EXPECT_TRUE(read_scram(good));
  auto spaced = good;
  spaced.replace(spaced.find('$'), 1, " $ ");
  EXPECT_TRUE(read_scram(spaced));
  for (auto& [what, by] : {std::pair{"SHA-256", "SHA-1"},
                           {"4096", "0"},
                           {"4096", "x"},
                           {"4096", "99999999999"},
                           {"W22ZaJ0SNY7soEsUEjb6gQ==", ""},
                           {"wfPL", "!"},
                           {"wfPLwcE6", ""},
                           {":wfPL", "wfPL"},
                           {"$4096", "4096"}}) {
    auto bad = good;
    bad.replace(bad.find(what), std::string_view{what}.size(), by);
    EXPECT_FALSE(read_scram(bad)) << bad;
  }
  for (std::size_t cut = 0; cut < good.size() - 1; ++cut)
    EXPECT_FALSE(read_scram(good.substr(0, cut))) << cut;
}

TEST(policy, never_takes_a_value_of_the_directory_for_a_pattern) {
  settings from;
  from.sender_attributes = {"mail", "proxyAddresses"};
  from.rules.push_back({.senders = {"{user}@lists.example"}});
  entry user{"uid=a",
             {{"Mail", {"*", "@example.com", "*@example.com", "no address", "A@example.com"}},
              {"proxyAddresses", {"SMTP:b@example.com", "x500:c@example.com", "smtp:", "d@example.com"}}}};
  auto who = judge(from, user, {}, "*", "a");
  EXPECT_THAT(who.senders, ElementsAre("a@example.com", "b@example.com", "d@example.com"));
  EXPECT_THAT(judge(from, {}, {}, "e", "e").senders, ElementsAre("e@lists.example"));
  EXPECT_THAT(judge(from, {}, {}, "e@x", "e").senders, ElementsAre(""));
}

TEST(policy, finds_a_name_in_the_first_attribute_that_has_one) {
  settings from;
  from.identity_attributes = {"userPrincipalName", "sAMAccountName"};
  EXPECT_EQ(identity_of(from, {"cn=a", {{"samaccountname", {"Ada"}}}}), "ada");
  EXPECT_EQ(identity_of(from, {"cn=a", {{"sAMAccountName", {"ada"}}, {"userPrincipalName", {"Ada@Corp"}}}}),
            "ada@corp");
  EXPECT_EQ(identity_of(from, {"cn=a", {{"userPrincipalName", {"a\nb"}}}}), "");
}

TEST(groups, asks_active_directory_once_with_an_escaped_dn) {
  settings from;
  from.groups = group_source::ad_chain;
  from.group_base = "dc=x";
  from.groups_max = 10;
  std::vector<std::string> asked;
  searcher search = [&](const search_request& what) {
    asked.push_back(what.filter);
    return search_answer{{entry{"cn=Staff,dc=x", {}}}, false};
  };
  auto found = groups_of(from, search, {"cn=a (b)*,dc=x", {}}, "a", "a");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].name, "Staff");
  EXPECT_THAT(asked, ElementsAre("(member:1.2.840.113556.1.4.1941:=cn=a \\28b\\29\\2a,dc=x)"));
}

class cache : public ::testing::Test {
protected:
  login_cache::known ask(const std::string& user, const char* password, hedwig_time_ns now = 0) {
    return cache_.ask(user, cache_.digest_of(user, password), now).what;
  }
  void right(const std::string& user, const char* password) {
    cache_.remember_right(user, cache_.digest_of(user, password), who_, 0);
  }
  void wrong(const std::string& user, const char* password) {
    cache_.remember_wrong(user, cache_.digest_of(user, password), 0);
  }
  using known = login_cache::known;
  std::shared_ptr<const sdk::identity> who_ = std::make_shared<const sdk::identity>();
  login_cache cache_{3, {std::chrono::nanoseconds{100}, std::chrono::nanoseconds{10}}};
};

TEST_F(cache, keeps_to_its_times) {
  right("a", "x");
  wrong("a", "y");
  cache_.remember_nobody("b", 0);
  EXPECT_EQ(ask("a", "x", 99), known::right);
  EXPECT_EQ(ask("a", "x", 100), known::nothing);
  EXPECT_EQ(ask("a", "y", 9), known::wrong);
  EXPECT_EQ(ask("a", "y", 10), known::nothing);
  EXPECT_EQ(ask("b", "z", 9), known::nobody);
  EXPECT_EQ(ask("b", "z", 10), known::nothing);
}

TEST_F(cache, forgets_a_password_that_became_wrong) {
  right("a", "x");
  wrong("a", "x");
  EXPECT_EQ(ask("a", "x"), known::wrong);
  right("a", "x");
  EXPECT_EQ(ask("a", "x"), known::right);
  right("a", "y");
  EXPECT_EQ(ask("a", "x"), known::nothing);
}

TEST_F(cache, is_bounded_and_loses_no_user_to_guesses) {
  right("a", "x");
  for (int i = 0; i < 100; ++i) {
    cache_.remember_nobody("n" + std::to_string(i), 0);
    wrong("w" + std::to_string(i), "x");
  }
  EXPECT_EQ(ask("a", "x"), known::right);
  EXPECT_EQ(ask("n0", "x"), known::nothing);
  EXPECT_EQ(ask("w99", "x"), known::wrong);
  for (auto* user : {"b", "c", "d"})
    right(user, "x");
  EXPECT_EQ(ask("a", "x"), known::nothing);
  EXPECT_EQ(ask("d", "x"), known::right);
}

TEST_F(cache, does_not_mix_up_names_and_passwords) {
  right("ab", "c");
  EXPECT_EQ(ask("a", "bc"), known::nothing);
  EXPECT_NE(cache_.digest_of("ab", "c"), cache_.digest_of("a", "bc"));
  EXPECT_NE(cache_.digest_of("a", "b"), (login_cache{1, {}}.digest_of("a", "b")));
}

} // namespace
} // namespace hedwig::auth_ldap
