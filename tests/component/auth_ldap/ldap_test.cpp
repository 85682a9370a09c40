// SPDX-License-Identifier: Apache-2.0
// auth-ldap and a real slapd: who may log in, and as what.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/component/auth_ldap/auth_instance.hpp"
#include "tests/component/auth_ldap/slapd.hpp"
#include "tests/component/auth_ldap/tcp_proxy.hpp"

namespace hedwig::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

constexpr std::size_t many = 10'000;

class auth_ldap : public ::testing::Test {
protected:
  static void SetUpTestSuite() { server_ = std::make_unique<slapd>(slapd::options{.tls = {}, .many_users = many}); }
  static void TearDownTestSuite() { server_.reset(); }

  /// Settings for the test's directory, in clear text, with `more` in front of any tables.
  static std::string settings(const std::string& more = {}, const std::string& url = server_->url()) {
    return "servers = [\"" + url +
           "\"]\ntls = \"none\"\nbase = \"dc=example,dc=com\"\nuser_filter = \"(uid={user})\"\n"
           "bind_dn = \"cn=service,dc=example,dc=com\"\nbind_password = \"service secret\"\n" +
           more;
  }
  static inline std::unique_ptr<slapd> server_;
};

TEST_F(auth_ldap, knows_the_right_password_and_no_other) {
  ldap_instance on{settings("cache_time = \"0s\"\nnegative_cache_time = \"0s\"\n")};
  ASSERT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << on.error() << on.fault();
  EXPECT_EQ(on.who().name, "ada");
  EXPECT_THAT(on.who().senders, IsEmpty());
  EXPECT_EQ(on.ask("ada", "Lovelace"), HEDWIG_E_DENIED);
  EXPECT_EQ(on.ask("ada", std::string{"lovelace\0", 9}), HEDWIG_E_DENIED);
  EXPECT_EQ(on.ask("ada", std::string{"\0", 1}), HEDWIG_E_DENIED);
  EXPECT_EQ(on.ask("ada", "lovelace", "ada"), HEDWIG_OK);
  EXPECT_EQ(on.ask("ada", "lovelace", "eve"), HEDWIG_E_DENIED);
  EXPECT_EQ(on.ask("nobody", "lovelace"), HEDWIG_E_NOT_FOUND);
}

TEST_F(auth_ldap, refuses_an_empty_password_without_a_word_to_the_server) {
  tcp_proxy proxy{server_->port()};
  ldap_instance on{settings({}, "ldap://127.0.0.1:" + std::to_string(proxy.port()))};
  EXPECT_EQ(on.ask("ada", ""), HEDWIG_E_DENIED);
  EXPECT_EQ(on.ask("", ""), HEDWIG_E_NOT_FOUND);
  EXPECT_EQ(on.ask("", "lovelace"), HEDWIG_E_NOT_FOUND);
  EXPECT_EQ(proxy.connections(), 0);
  ldap_instance direct{"servers = [\"" + server_->url() +
                       "\"]\ntls = \"none\"\nuser_dn = \"uid={user},ou=people,dc=example,dc=com\"\n"};
  EXPECT_EQ(direct.ask("ada", ""), HEDWIG_E_DENIED);
}

TEST_F(auth_ldap, gives_every_spelling_of_a_name_the_same_identity) {
  ldap_instance on{settings()};
  ASSERT_EQ(on.ask("ADA", "lovelace"), HEDWIG_OK);
  EXPECT_EQ(on.who().name, "ada");
  ASSERT_EQ(on.ask("Ada", "lovelace"), HEDWIG_OK);
  EXPECT_EQ(on.who().name, "ada");
}

TEST_F(auth_ldap, takes_a_name_for_a_name_and_never_for_a_part_of_a_filter) {
  ldap_instance on{settings("negative_cache_time = \"0s\"\n")};
  for (auto* name :
       {"*", "a*", "ada*", "*)(uid=*", "ada)(uid=ada", "ada)(|(uid=*", "*))(|(uid=*", "ada)(userPassword=*", "\\61da",
        "\\2a", "a\\64a", "(uid=ada)", "ada)", "ada(", "&(uid=ada)", "|", "!", "{user}", "%s"})
    EXPECT_EQ(on.ask(name, "lovelace"), HEDWIG_E_NOT_FOUND) << name;
  EXPECT_EQ(on.ask(std::string{"ada\0", 4}, "lovelace"), HEDWIG_E_NOT_FOUND);
  EXPECT_EQ(on.ask(std::string{"ada\0)(uid=*", 11}, "lovelace"), HEDWIG_E_NOT_FOUND);
  EXPECT_EQ(on.ask("ada\xff", "lovelace"), HEDWIG_E_NOT_FOUND);
  EXPECT_EQ(on.ask("ada\n", "lovelace"), HEDWIG_E_NOT_FOUND);
  EXPECT_EQ(on.ask(std::string(300, 'a'), "lovelace"), HEDWIG_E_NOT_FOUND);
  EXPECT_EQ(on.ask("comma, + and *", "special"), HEDWIG_OK) << on.error();
}

TEST_F(auth_ldap, binds_directly_and_takes_a_name_never_for_a_part_of_a_dn) {
  ldap_instance on{"servers = [\"" + server_->url() +
                   "\"]\ntls = \"none\"\nuser_dn = \"uid={user},ou=people,dc=example,dc=com\"\n"
                   "negative_cache_time = \"0s\"\n"};
  ASSERT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << on.error() << on.fault();
  EXPECT_EQ(on.who().name, "ada");
  EXPECT_EQ(on.ask("comma, + and *", "special"), HEDWIG_OK) << on.error();
  for (auto* name : {"ada,ou=people,dc=example,dc=com", "ada+cn=ada", "\\61da", "ada\\2cou=people", "#616461",
                     "\"ada\"", "ada;ou=people", "ada,ou=people,dc=example,dc=com\\", "<ada>", "=ada", "*", "a\\"})
    EXPECT_EQ(on.ask(name, "lovelace"), HEDWIG_E_DENIED) << name;
  EXPECT_EQ(on.ask("nobody", "lovelace"), HEDWIG_E_DENIED);
}

TEST_F(auth_ldap, finds_each_of_ten_thousand_users) {
  ldap_instance on{settings()};
  for (std::size_t i = 0; i < many; i += 97) {
    auto name = "user" + std::to_string(i);
    ASSERT_EQ(on.ask(name, "secret of " + name), HEDWIG_OK) << on.error();
    ASSERT_EQ(on.who().name, name);
    ASSERT_EQ(on.ask(name, "secret of user" + std::to_string(i + 1)), HEDWIG_E_DENIED);
  }
}

TEST_F(auth_ldap, lets_nobody_in_by_a_name_that_fits_several_entries) {
  auto text = settings();
  text.replace(text.find("(uid={user})"), 12, "(|(uid={user})(uid=eve))");
  ldap_instance twice{text};
  EXPECT_EQ(twice.ask("ada", "lovelace"), HEDWIG_E_DENIED);
  EXPECT_EQ(twice.log().count("narrow user_filter"), 1);
}

TEST_F(auth_ldap, tells_the_reasons_of_a_password_policy_apart_in_the_log) {
  ldap_instance on{settings()};
  EXPECT_EQ(on.ask("locked", "locked"), HEDWIG_E_DENIED);
  EXPECT_EQ(on.log().count("the account is locked"), 1) << on.log().all();
  EXPECT_EQ(on.ask("expired", "expired"), HEDWIG_E_DENIED);
  EXPECT_EQ(on.log().count("the password has expired"), 1) << on.log().all();
  EXPECT_EQ(on.ask("reset", "reset"), HEDWIG_E_DENIED);
  EXPECT_EQ(on.log().count("the password must be changed first"), 1) << on.log().all();
  EXPECT_EQ(on.ask("grace", "grace"), HEDWIG_OK);
  EXPECT_EQ(on.log().count("the directory lets him in a few times more user=grace left=2"), 1) << on.log().all();
}

TEST_F(auth_ldap, follows_groups_in_groups_once_each) {
  ldap_instance on{settings("groups = \"search\"\ngroup_base = \"ou=groups,dc=example,dc=com\"\n")};
  ASSERT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << on.error() << on.fault();
  EXPECT_THAT(on.who().groups, UnorderedElementsAre("analysts", "staff", "everyone"));
  ldap_instance direct{settings("groups = \"search\"\ngroup_depth = 1\n")};
  ASSERT_EQ(direct.ask("ada", "lovelace"), HEDWIG_OK);
  EXPECT_THAT(direct.who().groups, ElementsAre("analysts"));
  ldap_instance attribute{settings("groups = \"member-of\"\n")};
  ASSERT_EQ(attribute.ask("ada", "lovelace"), HEDWIG_OK) << attribute.error();
  EXPECT_THAT(attribute.who().groups, UnorderedElementsAre("analysts", "staff", "everyone"));
  ldap_instance shallow{settings("groups = \"member-of\"\ngroup_depth = 2\n")};
  ASSERT_EQ(shallow.ask("ada", "lovelace"), HEDWIG_OK);
  EXPECT_THAT(shallow.who().groups, UnorderedElementsAre("analysts", "staff"));
}

TEST_F(auth_ldap, refuses_for_the_time_being_who_is_in_too_many_groups) {
  for (auto* source : {"search", "member-of"}) {
    ldap_instance on{settings(std::string{"groups_max = 2\ngroups = \""} + source + "\"\n")};
    EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_E_UNAVAILABLE) << source;
    EXPECT_THAT(on.error(), HasSubstr("groups_max = 2")) << source;
    EXPECT_EQ(on.ask("eve", "eavesdrop"), HEDWIG_OK) << on.error();
  }
}

TEST_F(auth_ldap, makes_rights_of_groups_and_attributes) {
  ldap_instance on{settings(R"(
groups = "search"
sender_attributes = ["mail"]
attributes = ["employeeType"]
[[rule]]
group = "cn=spies,ou=groups,dc=example,dc=com"
deny = true
[[rule]]
group = "Staff"
senders = ["@staff.example.com", "{user}@lists.example.com"]
roles = ["sender"]
messages_per_hour = 100
message_size = "10MiB"
[[rule]]
attribute = "employeeType"
value = "STAFF"
messages_per_hour = 5
recipients = 50
connections = 3
recipients_per_day = 700
)")};
  ASSERT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << on.error() << on.fault();
  EXPECT_THAT(on.who().senders,
              ElementsAre("ada@example.com", "countess@example.com", "@staff.example.com", "ada@lists.example.com"));
  EXPECT_THAT(on.who().attributes, ElementsAre(Pair("role", "sender"), Pair("employeeType", "staff")));
  EXPECT_EQ(on.who().limits.messages_per_hour, 100u);
  EXPECT_EQ(on.who().limits.message_size, 10u << 20);
  EXPECT_EQ(on.who().limits.recipients_per_message, 50u);
  EXPECT_EQ(on.who().limits.connections, 3u);
  EXPECT_EQ(on.who().limits.recipients_per_day, 700u);
  EXPECT_EQ(on.ask("eve", "eavesdrop"), HEDWIG_E_DENIED);
  EXPECT_EQ(on.log().count("a rule denies members of cn=spies"), 1);
  ASSERT_EQ(on.ask("user", "pencil"), HEDWIG_OK);
  EXPECT_THAT(on.who().senders, ElementsAre("")); // no mail, no rule: nothing
}

TEST_F(auth_ldap, knows_the_names_of_active_directory) {
  ldap_instance on{"servers = [\"" + server_->url() +
                   "\"]\ntls = \"none\"\npreset = \"active-directory\"\nbase = \"dc=example,dc=com\"\n"
                   "bind_dn = \"cn=service,dc=example,dc=com\"\nbind_password = \"service secret\"\n"
                   "netbios_domain = \"CORP\"\nsender_attributes = [\"proxyAddresses\"]\ngroups = \"member-of\"\n"};
  ASSERT_EQ(on.fault(), "");
  for (auto* name : {"ghopper", "GHOPPER", "CORP\\ghopper", "corp\\GHopper", "grace.hopper@corp.example.com",
                     "Grace.Hopper@CORP.example.com"}) {
    ASSERT_EQ(on.ask(name, "secret of ghopper"), HEDWIG_OK) << name << on.error();
    EXPECT_EQ(on.who().name, "grace.hopper@corp.example.com") << name;
  }
  EXPECT_THAT(on.who().groups, ::testing::UnorderedElementsAre("analysts", "staff", "everyone"));
  EXPECT_THAT(on.who().senders, ::testing::UnorderedElementsAre("grace@example.com", "admiral@example.com"));
  ASSERT_EQ(on.ask("grace.hopper", "secret of grace.hopper"), HEDWIG_OK) << on.error();
  EXPECT_EQ(on.who().name, "other@corp.example.com");
  for (auto* name : {"ghopper@elsewhere.example", "OTHER\\ghopper", "ghopper@corp.example.com",
                     "grace.hopper@elsewhere.example", "CORP\\", "\\ghopper", "ada", "CORP\\*"})
    EXPECT_EQ(on.ask(name, "secret of ghopper"), HEDWIG_E_NOT_FOUND) << name;
}

TEST_F(auth_ldap, takes_new_settings_at_a_reload_and_keeps_the_old_ones_for_calls_under_way) {
  auto with = [&](const std::string& filter, const std::string& more = {}) {
    return "servers = [\"" + server_->url() + "\"]\ntls = \"none\"\nbase = \"dc=example,dc=com\"\nuser_filter = \"" +
           filter + "\"\nbind_dn = \"cn=service,dc=example,dc=com\"\nbind_password = \"service secret\"\n" + more;
  };
  ldap_instance on{with("(uid={user})"), 8};
  ASSERT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << on.error();
  EXPECT_NE(on.reload(with("(uid={nobody})")), "");
  EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << on.error();
  EXPECT_EQ(on.reload(with("(&(uid={user})(employeeType=nobody))")), "");
  EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_E_NOT_FOUND) << "the cache is empty again";
  EXPECT_EQ(on.reload(with("(uid={user})", "cache_time = \"0s\"\n")), "");
  auto sink = std::make_shared<plugin::testing::recorded_completions>();
  constexpr std::uint64_t count = 300;
  for (std::uint64_t i = 0; i < count; ++i) {
    plugin::auth_request one;
    one.username = "ada";
    one.secret = "lovelace";
    on.face().verify_password(std::move(one), {sink, i + 1, {}});
    if (i % 30 == 29) {
      EXPECT_EQ(on.reload(with("(uid={user})", "cache_time = \"0s\"\n")), "");
    }
  }
  ASSERT_TRUE(sink->wait_for(count));
  for (std::uint64_t i = 0; i < count; ++i)
    EXPECT_TRUE(*sink->find(i + 1)) << sink->find(i + 1)->error().text();
}

TEST_F(auth_ldap, reads_scram_secrets) {
  ldap_instance on{settings("scram_attribute = \"description\"\n")};
  ASSERT_EQ(on.ask_scram("user"), HEDWIG_OK) << on.error() << on.fault();
  EXPECT_EQ(on.secret().iterations, 4096u);
  EXPECT_EQ(on.secret().salt.size(), 16u);
  EXPECT_EQ(on.secret().stored_key.size(), 32u);
  EXPECT_EQ(on.secret().server_key.size(), 32u);
  EXPECT_EQ(on.who().name, "user");
  EXPECT_EQ(on.ask_scram("ada"), HEDWIG_E_NOT_FOUND);
  EXPECT_EQ(on.ask_scram("nobody"), HEDWIG_E_NOT_FOUND);
  EXPECT_EQ(on.ask_scram("*"), HEDWIG_E_NOT_FOUND);
}

TEST_F(auth_ldap, answers_from_the_cache_until_its_time_is_over) {
  tcp_proxy proxy{server_->port()};
  ldap_instance on{settings("cache_time = \"60s\"\nnegative_cache_time = \"10s\"\nidle_timeout = \"1ms\"\n",
                            "ldap://127.0.0.1:" + std::to_string(proxy.port()))};
  ASSERT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << on.error();
  EXPECT_EQ(on.ask("ada", "wrong"), HEDWIG_E_DENIED);
  EXPECT_EQ(on.ask("nobody", "x"), HEDWIG_E_NOT_FOUND);
  proxy.cut();
  auto before = proxy.sent().size();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK);
    EXPECT_EQ(on.ask("ada", "wrong"), HEDWIG_E_DENIED);
    EXPECT_EQ(on.ask("nobody", "y"), HEDWIG_E_NOT_FOUND);
  }
  EXPECT_EQ(proxy.sent().size(), before);
  EXPECT_EQ(on.ask("ada", "other"), HEDWIG_E_DENIED); // of which nothing is known
  EXPECT_GT(proxy.sent().size(), before);
  on.shift_clock(std::chrono::seconds{11});
  before = proxy.sent().size();
  EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK);
  EXPECT_EQ(proxy.sent().size(), before);
  EXPECT_EQ(on.ask("ada", "wrong"), HEDWIG_E_DENIED);
  EXPECT_GT(proxy.sent().size(), before);
  on.shift_clock(std::chrono::seconds{60});
  before = proxy.sent().size();
  EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK);
  EXPECT_GT(proxy.sent().size(), before);
}

TEST_F(auth_ldap, says_which_setting_is_wrong) {
  auto fault = [](const std::string& toml) { return ldap_instance{toml}.fault(); };
  EXPECT_THAT(fault("servers = [\"dc1\"]\nbase = \"dc=x\"\n"), HasSubstr("write ldaps://HOST"));
  EXPECT_THAT(fault("servers = [\"ldap://h\"]\n"), HasSubstr("base"));
  EXPECT_THAT(fault("servers = [\"ldap://h\"]\nbase = \"dc=x\"\nbind_dn = \"cn=a\"\n"), HasSubstr("bind_password"));
  EXPECT_THAT(fault("servers = [\"ldap://h\"]\nbase = \"dc=x\"\nuser_filter = \"uid={user}\"\n"),
              HasSubstr("it is no filter"));
  EXPECT_THAT(fault("servers = [\"ldap://h\"]\nbase = \"dc=x\"\nuser_filter = \"(uid={usr})\"\n"),
              HasSubstr("{usr} means nothing here"));
  EXPECT_THAT(fault("servers = [\"ldap://h\"]\nuser_dn = \"uid=ada,dc=x\"\n"), HasSubstr("the same user"));
  for (auto* line : {"user_filter = \"(objectClass=person)\"", "user_filter = \"(ou={domain})\"",
                     "user_principal = \"ada@x\"", "groups = \"search\"\ngroup_filter = \"(objectClass=group)\""})
    EXPECT_THAT(fault(std::string{"servers = [\"ldap://h\"]\nbase = \"dc=x\"\n"} + line + "\n"),
                HasSubstr("everybody would be"))
        << line;
  EXPECT_THAT(fault("servers = [\"ldap://h\"]\nbase = \"dc=x\"\n[[rule]]\ngroup = \"a\"\n"), HasSubstr("groups"));
  EXPECT_THAT(fault("servers = [\"ldap://h\"]\nbase = \"dc=x\"\nca_file = \"/no/such\"\n"), HasSubstr("/no/such"));
}

} // namespace
} // namespace hedwig::test
