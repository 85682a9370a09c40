// SPDX-License-Identifier: Apache-2.0
// auth-ldap where servers and networks fail: TLS that is wrong, servers that die or stall, settings that do not fit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/component/auth_ldap/auth_instance.hpp"
#include "tests/component/auth_ldap/certificates.hpp"
#include "tests/component/auth_ldap/slapd.hpp"
#include "tests/component/auth_ldap/tcp_proxy.hpp"

namespace hedwig::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string at(std::uint16_t port, const std::string& scheme = "ldap") {
  return scheme + "://127.0.0.1:" + std::to_string(port);
}

std::string settings(const std::vector<std::string>& urls, const std::string& more) {
  std::string list;
  for (auto& url : urls)
    list += (list.empty() ? "\"" : ", \"") + url + "\"";
  return "servers = [" + list +
         "]\nbase = \"dc=example,dc=com\"\nuser_filter = \"(uid={user})\"\n"
         "bind_dn = \"cn=service,dc=example,dc=com\"\nbind_password = \"service secret\"\n" +
         more;
}
const std::string in_clear = "tls = \"none\"\n";
const std::string no_cache = "cache_time = \"0s\"\nnegative_cache_time = \"0s\"\n";

class auth_ldap_tls : public ::testing::Test {
protected:
  static std::string trusting(const authority& who) { return "ca_file = \"" + who.file() + "\"\n"; }

  scratch_folder folder_;
  authority ours_{folder_.path(), "ours"};
  authority theirs_{folder_.path(), "theirs"};
};

TEST_F(auth_ldap_tls, works_with_ldaps_and_with_starttls) {
  slapd server{{.tls = ours_.certify("127.0.0.1"), .many_users = 0}};
  for (auto& url : {server.tls_url(), server.url()}) {
    ldap_instance on{settings({url}, trusting(ours_))};
    EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << url << on.error() << on.fault();
    EXPECT_EQ(on.ask("ada", "wrong"), HEDWIG_E_DENIED) << url;
  }
}

TEST_F(auth_ldap_tls, refuses_what_it_cannot_trust_and_shows_no_password) {
  struct wrong {
    const char* what;
    const char* reason;
    authority::pair certificate;
  };
  for (auto& [what, reason, certificate] :
       {wrong{"unknown authority", "issuer not found", theirs_.certify("127.0.0.1")},
        wrong{"another host's name", "name", ours_.certify("other.example")},
        wrong{"expired", "expired", ours_.certify("127.0.0.1", -60)}}) {
    slapd server{{.tls = certificate, .many_users = 0}};
    tcp_proxy tls{server.tls_port()};
    tcp_proxy start_tls{server.port()};
    for (auto& url : {at(tls.port(), "ldaps"), at(start_tls.port())}) {
      ldap_instance on{settings({url}, trusting(ours_))};
      EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_E_UNAVAILABLE) << what << url;
      EXPECT_EQ(on.log().count("a directory server fails"), 1) << what << on.log().all();
      EXPECT_THAT(on.log().all(), HasSubstr(reason)) << what;
    }
    for (auto* proxy : {&tls, &start_tls}) {
      EXPECT_THAT(proxy->sent(), Not(HasSubstr("lovelace")));
      EXPECT_THAT(proxy->sent(), Not(HasSubstr("service")));
    }
  }
}

TEST_F(auth_ldap_tls, never_falls_back_to_clear_text) {
  slapd server{{.tls = {}, .many_users = 0}}; // which refuses StartTLS
  tcp_proxy proxy{server.port()};
  ldap_instance on{settings({at(proxy.port())}, trusting(ours_))};
  EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_E_UNAVAILABLE);
  EXPECT_THAT(proxy.sent(), Not(HasSubstr("lovelace")));
  EXPECT_THAT(proxy.sent(), Not(HasSubstr("service")));
  EXPECT_EQ(proxy.connections(), 1);
}

TEST_F(auth_ldap_tls, gives_up_on_a_handshake_that_stalls) {
  slapd server{{.tls = ours_.certify("127.0.0.1"), .many_users = 0}};
  tcp_proxy silent{0};
  for (auto* scheme : {"ldaps", "ldap"}) {
    ldap_instance on{
        settings({at(silent.port(), scheme), server.tls_url()}, trusting(ours_) + "connect_timeout = \"200ms\"\n")};
    EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << scheme << on.error();
    EXPECT_EQ(on.log().count("a directory server fails"), 1) << on.log().all();
  }
}

class auth_ldap_faults : public ::testing::Test {
protected:
  static void SetUpTestSuite() { server_ = std::make_unique<slapd>(slapd::options{}); }
  static void TearDownTestSuite() { server_.reset(); }
  static inline std::unique_ptr<slapd> server_;
};

TEST_F(auth_ldap_faults, is_temporarily_unable_while_the_server_is_dead_and_back_with_it) {
  slapd server{{}};
  ldap_instance on{settings({server.url()}, in_clear + no_cache + "server_rest = \"1m\"\n")};
  ASSERT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << on.error();
  server.kill();
  EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_E_UNAVAILABLE);
  EXPECT_EQ(on.ask("ada", "wrong"), HEDWIG_E_UNAVAILABLE);
  EXPECT_EQ(on.ask("nobody", "wrong"), HEDWIG_E_UNAVAILABLE);
  server.start();
  on.shift_clock(std::chrono::minutes{2});
  EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << on.error();
  EXPECT_EQ(on.ask("ada", "wrong"), HEDWIG_E_DENIED);
}

TEST_F(auth_ldap_faults, notices_at_once_that_a_restart_closed_its_connections) {
  slapd server{{}};
  ldap_instance on{settings({server.url()}, in_clear + no_cache)};
  ASSERT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << on.error();
  server.kill();
  server.start();
  EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << on.error();
  EXPECT_EQ(on.log().count("fails"), 0) << on.log().all();
}

TEST_F(auth_ldap_faults, gives_up_on_a_server_that_stalls_in_the_middle_of_an_answer) {
  tcp_proxy proxy{server_->port()};
  // Of the first answers: none, half of one, and one and a half.
  for (long octets : {0L, 3L, 20L, 60L}) {
    ldap_instance on{settings({at(proxy.port())}, in_clear + no_cache +
                                                      "timeout = \"200ms\"\n"
                                                      "connect_timeout = \"200ms\"\n")};
    proxy.stall_after(octets);
    EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_E_UNAVAILABLE) << octets << on.error();
    EXPECT_EQ(on.log().count("a directory server fails"), 1) << octets << on.log().all();
    proxy.cut();
    proxy.flow();
    on.shift_clock(std::chrono::minutes{1});
    EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << octets << on.error();
  }
}

TEST_F(auth_ldap_faults, blames_no_server_for_a_request_that_had_hardly_any_time_left) {
  tcp_proxy proxy{server_->port()};
  ldap_instance on{settings({at(proxy.port())}, in_clear + no_cache)};
  ASSERT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << on.error();
  proxy.stall_after(0);
  EXPECT_EQ(on.ask("ada", "lovelace", {}, std::chrono::milliseconds{150}), HEDWIG_E_TIMEOUT);
  proxy.flow();
  EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << on.error();
  EXPECT_EQ(on.log().count("a directory server fails"), 0) << on.log().all();
}

TEST_F(auth_ldap_faults, asks_the_next_server_and_leaves_the_dead_one_alone) {
  tcp_proxy silent{0};
  ldap_instance on{settings({at(silent.port()), server_->url()}, in_clear + no_cache + "timeout = \"200ms\"\n")};
  ASSERT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << on.error();
  EXPECT_EQ(silent.connections(), 1);
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(on.ask("eve", "eavesdrop"), HEDWIG_OK) << on.error();
  EXPECT_EQ(silent.connections(), 1);
}

TEST_F(auth_ldap_faults, blames_nobody_but_the_operator_for_a_wrong_service_account) {
  auto text = settings({server_->url()}, in_clear);
  text.replace(text.find("service secret"), 14, "no such secret");
  ldap_instance on{text};
  EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_E_UNAVAILABLE);
  EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_E_UNAVAILABLE);
  EXPECT_EQ(on.log().count("check bind_dn and bind_password"), 1) << on.log().all();
  EXPECT_THAT(on.log().all(), Not(HasSubstr("no such secret")));
}

TEST_F(auth_ldap_faults, serves_many_logins_at_once_with_few_connections) {
  tcp_proxy proxy{server_->port()};
  ldap_instance on{settings({at(proxy.port())}, in_clear + no_cache + "connections_max = 2\n"), 8};
  auto sink = std::make_shared<plugin::testing::recorded_completions>();
  constexpr int logins = 200;
  for (int i = 0; i < logins; ++i) {
    plugin::auth_request one;
    one.username = "ada";
    one.secret = i % 2 == 0 ? "lovelace" : "wrong";
    on.face().verify_password(std::move(one), {sink, static_cast<std::uint64_t>(i), {}});
  }
  ASSERT_TRUE(sink->wait_for(logins));
  for (int i = 0; i < logins; ++i)
    EXPECT_EQ(sink->status(static_cast<std::uint64_t>(i)), i % 2 == 0 ? HEDWIG_OK : HEDWIG_E_DENIED);
  EXPECT_LE(proxy.connections(), 4);
}

TEST_F(auth_ldap_faults, never_logs_a_password) {
  ldap_instance on{settings({server_->url()}, in_clear)};
  for (auto* user : {"ada", "locked", "expired", "reset", "nobody"})
    EXPECT_NE(on.ask(user, "tell nobody"), HEDWIG_OK);
  EXPECT_EQ(on.ask("grace", "grace"), HEDWIG_OK);
  EXPECT_THAT(on.log().all(), Not(HasSubstr("tell nobody")));
  EXPECT_THAT(on.log().all(), Not(HasSubstr("service secret")));
}

} // namespace
} // namespace hedwig::test
