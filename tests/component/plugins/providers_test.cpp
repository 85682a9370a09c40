// SPDX-License-Identifier: Apache-2.0
// Our providers, loaded from their real files. Hashes come from Debian's argon2 and htpasswd.
#include <hedwig/auth.h>
#include <hedwig/filter.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>

#include "runtime/plugin/auth_provider.hpp"
#include "runtime/plugin/builtin.hpp"
#include "runtime/plugin/filter_provider.hpp"
#include "tests/unit/plugin/support.hpp"

namespace hedwig::plugin::testing {
namespace {

using config::node;
using std::chrono::seconds;

/// What a command prints, without the last newline; empty when there is no such command.
std::string output_of(const std::string& command) {
  std::string out;
  auto* pipe = popen((command + " 2>/dev/null").c_str(), "r");
  char part[512];
  while (auto size = fread(part, 1, sizeof part, pipe))
    out.append(part, size);
  pclose(pipe);
  while (out.ends_with('\n'))
    out.pop_back();
  return out;
}

/// A provider of ours, started with a table.
struct running {
  running(const char* interface_id, const char* name, const node& table,
          std::string directory = environment("HEDWIG_PLUGIN_DIR")) {
    host_options options;
    options.log = log;
    services = std::make_shared<host>(std::move(options));
    catalogue all{services, {std::move(directory)}, {.owners = {}, .allow_group_writable = true}};
    auto found = all.find(interface_id, name);
    EXPECT_TRUE(found) << found.error().text();
    provider = *found;
    source = {"hedwig.toml", provider.label(), "/", {}};
    auto checked = check_provider(services, provider, table, source);
    errors = checked.errors;
    if (!checked.config)
      return;
    owner = *instance::create(services, provider, {}, checked.config);
    auto started = owner->start_and_wait(seconds{20});
    if (!started)
      start_error = started.error().text();
    is_started = started.has_value();
  }
  ~running() {
    if (is_started) {
      EXPECT_TRUE(owner->stop_and_wait(seconds{20}));
    }
  }

  std::shared_ptr<recorded_log> log = std::make_shared<recorded_log>();
  std::shared_ptr<recorded_completions> sink = std::make_shared<recorded_completions>();
  std::shared_ptr<host> services;
  provider_ref provider;
  config_source source;
  std::vector<config::diagnostic> errors;
  std::shared_ptr<instance> owner;
  std::string start_error;
  bool is_started = false;
};

hedwig_status ask(running& on, const std::string& name, const std::string& secret, const std::string& as_user = {}) {
  auto auth = *auth_provider::make(on.owner);
  auto sink = std::make_shared<recorded_completions>();
  auth_request request;
  request.mechanism = "PLAIN";
  request.username = name;
  request.authorize_as = as_user;
  request.secret = secret;
  auth->verify_password(std::move(request), {sink, 1, {}});
  EXPECT_TRUE(sink->wait_for(1));
  on.sink = sink;
  return sink->status(1);
}

node users_table(std::initializer_list<std::pair<std::string, std::string>> users) {
  std::vector<config::auth_user> list;
  for (auto& [name, password] : users)
    list.push_back({name, config::secret{password}});
  return static_auth_table(list);
}

void add(node& table, std::string key, node value) {
  table.members.push_back({std::move(key), 0, 0, std::move(value)});
}

TEST(auth_static, accepts_plain_passwords_with_a_warning) {
  running on{HEDWIG_AUTH, "static", users_table({{"ada", "lovelace"}, {"eve", "x"}})};
  EXPECT_EQ(ask(on, "ada", "lovelace"), HEDWIG_OK);
  EXPECT_EQ(as<identity>(**on.sink->find(1)).name, "ada");
  EXPECT_EQ(ask(on, "ada", "lovelac"), HEDWIG_E_DENIED);
  EXPECT_EQ(ask(on, "ada", ""), HEDWIG_E_DENIED);
  EXPECT_EQ(ask(on, "ada", std::string{"lovelace\0", 9}), HEDWIG_E_DENIED);
  EXPECT_EQ(ask(on, "ADA", "lovelace"), HEDWIG_E_NOT_FOUND);
  EXPECT_EQ(ask(on, "ada", "lovelace", "ada"), HEDWIG_OK);
  EXPECT_EQ(ask(on, "ada", "lovelace", "eve"), HEDWIG_E_DENIED);
  EXPECT_TRUE(on.log->has("auth.static: passwords are kept in plain text"));
}

TEST(auth_static, verifies_the_hashes_of_argon2) {
  auto hash = output_of("printf 'correct horse' | argon2 saltsaltsalt -id -t 2 -m 12 -p 1 -e");
  if (hash.empty())
    GTEST_SKIP() << "needs the package argon2";
  running on{HEDWIG_AUTH, "static", users_table({{"ada", hash}})};
  EXPECT_EQ(ask(on, "ada", "correct horse"), HEDWIG_OK);
  EXPECT_EQ(ask(on, "ada", "correct horsf"), HEDWIG_E_DENIED);
  EXPECT_EQ(ask(on, "bob", "correct horse"), HEDWIG_E_NOT_FOUND);
  EXPECT_FALSE(on.log->has("plain text"));
}

TEST(auth_static, verifies_the_hashes_of_htpasswd) {
  auto line = output_of("htpasswd -nbB -C 5 ada 'correct horse'");
  if (line.empty())
    GTEST_SKIP() << "needs the package apache2-utils";
  running on{HEDWIG_AUTH, "static", users_table({{"ada", line.substr(4)}})};
  EXPECT_EQ(ask(on, "ada", "correct horse"), HEDWIG_OK);
  EXPECT_EQ(ask(on, "ada", "correct horsf"), HEDWIG_E_DENIED);
}

TEST(auth_static, verifies_the_hashes_of_crypt) {
  for (auto* kind : {"-5", "-6"}) {
    auto hash = output_of(std::string{"openssl passwd "} + kind + " -salt saltsalt 'correct horse'");
    if (hash.empty())
      GTEST_SKIP() << "needs the package openssl";
    running on{HEDWIG_AUTH, "static", users_table({{"ada", hash}})};
    EXPECT_EQ(ask(on, "ada", "correct horse"), HEDWIG_OK) << kind;
    EXPECT_EQ(ask(on, "ada", "correct horsf"), HEDWIG_E_DENIED) << kind;
    EXPECT_EQ(ask(on, "ada", std::string{"correct horse\0x", 15}), HEDWIG_E_DENIED) << kind;
    EXPECT_FALSE(on.log->has("plain text"));
  }
  running slow{HEDWIG_AUTH, "static", users_table({{"ada", "$6$rounds=50000000$saltsalt$x"}})};
  ASSERT_FALSE(slow.errors.empty());
  EXPECT_THAT(slow.errors[0].message, ::testing::HasSubstr("more than 5000000 rounds"));
}

TEST(auth_static, spends_as_long_on_an_unknown_user_as_on_a_wrong_password) {
  auto hash = output_of("printf x | argon2 saltsaltsalt -id -t 2 -m 13 -p 1 -e");
  if (hash.empty())
    GTEST_SKIP() << "needs the package argon2";
  running on{HEDWIG_AUTH, "static", users_table({{"ada", hash}})};
  // The least of several is what the work costs; the rest is the machine.
  auto cpu_of = [&](const std::string& name) {
    auto before = std::clock();
    ask(on, name, "wrong");
    return std::clock() - before;
  };
  auto known = cpu_of("ada");
  auto unknown = cpu_of("bob");
  for (int i = 0; i < 5; ++i) {
    known = std::min(known, cpu_of("ada"));
    unknown = std::min(unknown, cpu_of("bob"));
  }
  EXPECT_GT(unknown, known / 2);
  EXPECT_LT(unknown, known * 2);
}

class user_file : public ::testing::Test {
protected:
  user_file() {
    std::string pattern = ::testing::TempDir() + "hedwig-users-XXXXXX";
    directory_ = mkdtemp(pattern.data());
    path_ = (directory_ / "users").string();
  }
  ~user_file() override { std::filesystem::remove_all(directory_); }
  void write(const std::string& text, mode_t mode = 0600) {
    std::ofstream{path_} << text;
    chmod(path_.c_str(), mode);
  }
  node table() {
    node out;
    add(out, "file", node::of(path_));
    return out;
  }
  std::filesystem::path directory_;
  std::string path_;
};

TEST_F(user_file, gives_users_with_groups_and_senders) {
  write("# people\n\nada:lovelace:staff,math:ada@a.test,*.a.test\r\nbob:b\n");
  running on{HEDWIG_AUTH, "static", table()};
  ASSERT_EQ(ask(on, "ada", "lovelace"), HEDWIG_OK);
  auto& who = as<identity>(**on.sink->find(1));
  EXPECT_THAT(who.groups, ::testing::ElementsAre("staff", "math"));
  EXPECT_THAT(who.senders, ::testing::ElementsAre("ada@a.test", "*.a.test"));
  EXPECT_FALSE(on.log->has("read by everyone"));
}

TEST_F(user_file, is_read_again_on_reload) {
  write("ada:old\n");
  running on{HEDWIG_AUTH, "static", table()};
  auto again = check_provider(on.services, on.provider, table(), on.source);
  write("ada:new\n");
  ASSERT_TRUE(on.owner->reload_and_wait(again.config, seconds{20}));
  EXPECT_EQ(ask(on, "ada", "new"), HEDWIG_OK);
  write("broken\n");
  EXPECT_FALSE(on.owner->reload_and_wait(again.config, seconds{20}));
  EXPECT_EQ(ask(on, "ada", "new"), HEDWIG_OK);
}

TEST_F(user_file, that_everyone_may_read_is_warned_of) {
  write("ada:x\n", 0644);
  running on{HEDWIG_AUTH, "static", table()};
  EXPECT_TRUE(on.log->has("can be read by everyone"));
}

TEST_F(user_file, with_a_mistake_stops_the_start_and_names_the_line) {
  write("ada:x\nbob:$1$salt$hash\n");
  running unknown_hash{HEDWIG_AUTH, "static", table()};
  EXPECT_THAT(unknown_hash.start_error, ::testing::HasSubstr("users:2: this kind of hash is not known"));
  write("ada:x\nada:y\n");
  running twice{HEDWIG_AUTH, "static", table()};
  EXPECT_THAT(twice.start_error, ::testing::HasSubstr("the user ada appears twice"));
}

TEST(auth_static, refuses_settings_that_make_no_sense) {
  running nobody{HEDWIG_AUTH, "static", node{}};
  ASSERT_EQ(nobody.errors.size(), 1U);
  EXPECT_THAT(nobody.errors[0].message, ::testing::HasSubstr("nobody could log in"));
  running empty{HEDWIG_AUTH, "static", users_table({{"ada", ""}})};
  ASSERT_EQ(empty.errors.size(), 1U);
  EXPECT_THAT(empty.errors[0].message,
              ::testing::HasSubstr("auth.static.user.password: user 1: the password is empty"));
}

constexpr auto from = config::filter_type::from_domain_filter;
constexpr auto to = config::filter_type::to_domain_filter;
constexpr auto allow = config::filter_action::allow;
constexpr auto deny = config::filter_action::deny;

struct filtering : running {
  explicit filtering(std::initializer_list<config::domain_rule> rules)
    : running{HEDWIG_FILTER, "domain", domain_filter_table(std::vector<config::domain_rule>{rules})},
      filter{*filter_provider::make(owner)} {}

  /// The code of the reply; 0: accepted.
  int code(hook which, const std::string& address) {
    auto session = filter->open({});
    filter_address shown{address, {}};
    auto answer =
        which == hook::mail ? session->on_mail(shown, {sink, 1, {}}) : session->on_recipient(shown, {sink, 1, {}});
    EXPECT_TRUE(answer && *answer);
    return (*answer)->code;
  }
  std::shared_ptr<filter_provider> filter;
};

TEST(filter_domain, denies_before_it_allows) {
  filtering on{{from, {"*"}, allow}, {from, {"bad.test"}, deny}};
  EXPECT_EQ(on.code(hook::mail, "a@bad.test"), 550);
  EXPECT_EQ(on.code(hook::mail, "a@BAD.Test."), 550);
  EXPECT_EQ(on.code(hook::mail, "a@good.test"), 0);
}

TEST(filter_domain, makes_a_list_with_any_allow_rule_exclusive) {
  filtering on{{to, {"one.test", "*.two.test"}, allow}};
  EXPECT_EQ(on.code(hook::recipient, "a@one.test"), 0);
  EXPECT_EQ(on.code(hook::recipient, "a@x.one.test"), 550);
  EXPECT_EQ(on.code(hook::recipient, "a@x.y.two.test"), 0);
  EXPECT_EQ(on.code(hook::recipient, "a@two.test"), 550);
  EXPECT_EQ(on.code(hook::recipient, "a@xtwo.test"), 550);
  EXPECT_EQ(on.code(hook::recipient, "\"a@one.test\"@three.test"), 550);
  EXPECT_EQ(on.code(hook::recipient, "nobody"), 550);
}

TEST(filter_domain, keeps_senders_and_recipients_apart) {
  filtering on{{from, {"one.test"}, deny}, {to, {"two.test"}, deny}};
  EXPECT_EQ(on.code(hook::mail, "a@two.test"), 0);
  EXPECT_EQ(on.code(hook::recipient, "a@one.test"), 0);
  EXPECT_EQ(on.code(hook::mail, "a@one.test"), 550);
  EXPECT_EQ(on.code(hook::recipient, "a@two.test"), 550);
}

TEST(filter_domain, accepts_the_null_sender) {
  filtering on{{from, {"one.test"}, allow}};
  EXPECT_EQ(on.code(hook::mail, ""), 0);
}

TEST(filter_domain, takes_new_rules_for_new_sessions) {
  filtering on{{from, {"one.test"}, deny}};
  auto old = on.filter->open({});
  ASSERT_EQ((*old->on_mail({"a@one.test", {}}, {on.sink, 1, {}}))->code, 550);
  std::vector<config::domain_rule> rules{{from, {"two.test"}, deny}};
  auto next = check_provider(on.services, on.provider, domain_filter_table(rules), on.source);
  ASSERT_TRUE(on.owner->reload_and_wait(next.config, seconds{20}));
  EXPECT_EQ((*old->on_mail({"a@one.test", {}}, {on.sink, 1, {}}))->code, 550);
  EXPECT_EQ(on.code(hook::mail, "a@one.test"), 0);
  EXPECT_EQ(on.code(hook::mail, "a@two.test"), 550);
}

std::string examples() { return environment("HEDWIG_BUILD_DIR") + "/lib/hedwig/examples"; }

TEST(examples, in_c_refuse_and_accept) {
  running on{HEDWIG_FILTER, "invalid-domain", node{}, examples()};
  auto session = (*filter_provider::make(on.owner))->open({});
  auto refused = session->on_recipient({"a@b.invalid", {}}, {on.sink, 1, {}});
  ASSERT_TRUE(refused && *refused);
  EXPECT_EQ((*refused)->enhanced_code, "5.1.2");
  EXPECT_EQ((*refused)->code, 550);
  EXPECT_EQ((*session->on_recipient({"a@b.example", {}}, {on.sink, 1, {}}))->action, verdict_action::proceed);
}

TEST(examples, of_a_filter_with_state_count_for_each_session) {
  node table;
  add(table, "limit", node::of(std::int64_t{1}));
  running on{HEDWIG_FILTER, "recipient-limit", table, examples()};
  auto provider = *filter_provider::make(on.owner);
  for (int i = 0; i < 2; ++i) {
    auto session = provider->open({});
    EXPECT_EQ((*session->on_recipient({"a@b.example", {}}, {on.sink, 1, {}}))->action, verdict_action::proceed);
    EXPECT_EQ((*session->on_recipient({"a@b.example", {}}, {on.sink, 1, {}}))->code, 451);
    auto end = session->on_end({}, {on.sink, 1, {}});
    ASSERT_TRUE(end && *end);
    EXPECT_EQ((*end)->edits.at(0).value, "2");
  }
}

TEST(examples, of_an_auth_provider_know_their_users) {
  std::vector<node> users(1);
  add(users[0], "name", node::of(std::string{"ada"}));
  add(users[0], "password", node::of(std::string{"lovelace"}));
  node list;
  list.type = node::kind::array;
  list.items = std::move(users);
  node table;
  add(table, "user", std::move(list));
  running on{HEDWIG_AUTH, "example", table, examples()};
  EXPECT_EQ(ask(on, "ada", "lovelace"), HEDWIG_OK);
  EXPECT_EQ(ask(on, "ada", "byron"), HEDWIG_E_DENIED);
  EXPECT_EQ(ask(on, "eve", "x"), HEDWIG_E_NOT_FOUND);
}

TEST(filter_domain, refuses_patterns_that_match_nothing) {
  running on{HEDWIG_FILTER, "domain",
             domain_filter_table(std::vector<config::domain_rule>{{from, {"a.*.test"}, deny}})};
  ASSERT_EQ(on.errors.size(), 1U);
  EXPECT_THAT(on.errors[0].message, ::testing::HasSubstr("rule 1: write \"example.com\""));
}

} // namespace
} // namespace hedwig::plugin::testing
