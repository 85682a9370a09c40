// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/config/load.hpp"
#include "runtime/config/schema.hpp"

namespace {

using namespace hedwig;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

const std::string base = "[server]\nhostname = \"a.example\"\n[[server.listeners]]\naddr = \"127.0.0.1:2525\"\n"
                         "[storage]\nbase_path = \"/s\"\n";
const config::load_options options{"m.example", 1};

/// A relay that was started with one file and is told to reload another one.
struct reloaded {
  config::reload_plan plan;
  config::settings settings; ///< in force afterwards
};

reloaded reload(const std::string& before, const std::string& after, const config::reload_options& how = {}) {
  const auto old_file = config::load_text(before, "h.toml", options);
  const auto new_file = config::load_text(after, "h.toml", options);
  if (!old_file || !new_file) {
    ADD_FAILURE() << config::to_text(old_file ? new_file.error() : old_file.error());
    return {};
  }
  auto plan = config::plan_reload(old_file->root, new_file->root, how);
  const auto in_force = config::load_root(plan.root, "h.toml", options);
  if (!in_force) {
    ADD_FAILURE() << config::to_text(in_force.error());
    return {};
  }
  return {std::move(plan), in_force->settings};
}

std::string listener(const std::string& addr, const std::string& rest = {}) {
  return "[[server.listeners]]\naddr = \"" + addr + "\"\n" + rest;
}

std::string with_listeners(const std::string& listeners) {
  return "[server]\nhostname = \"a.example\"\n[storage]\nbase_path = \"/s\"\n" + listeners;
}

const config::listener_settings& at(const config::settings& settings, const std::string& addr) {
  for (const auto& one : settings.server.listeners)
    if (one.addr.text() == addr)
      return one;
  ADD_FAILURE() << "no listener at " << addr;
  return settings.server.listeners.front();
}

TEST(reload, the_same_settings_written_otherwise_are_no_difference) {
  const auto got = reload(base, "# a comment\n[storage]\nbase_path = \"/s\"\n[retry]\njitter = 0.1\n[server]\n"
                                "hostname = \"a.example\"\n[[server.listeners]]\naddr = \"127.0.0.1:2525\"\n");
  EXPECT_THAT(got.plan.applied, IsEmpty());
  EXPECT_THAT(got.plan.restart, IsEmpty());
}

TEST(reload, what_is_said_to_wait_for_a_restart_waits_and_the_rest_is_in_force) {
  const auto got = reload(base, base + "[retry]\njitter = 0.5\n[log]\nlevel = \"debug\"\nformat = \"json\"\n"
                                       "[process]\nio_loops = 4\n[dns]\nmax_mx = 3\n");
  EXPECT_THAT(got.plan.applied, ElementsAre("log.level", "retry.jitter"));
  EXPECT_THAT(got.plan.restart, ElementsAre("dns.max_mx", "log.format", "process.io_loops"));
  EXPECT_EQ(got.settings.retry.jitter, 0.5);
  EXPECT_EQ(got.settings.log.level, "debug");
  EXPECT_EQ(got.settings.log.format, config::log_format::fmt);
  EXPECT_EQ(got.settings.process.io_loops, 1u);
  EXPECT_EQ(got.settings.dns.max_mx, 20u);
}

TEST(reload, a_key_that_goes_has_its_default_again) {
  const auto got = reload(base + "[retry]\njitter = 0.5\n[dns]\nmax_mx = 3\n", base);
  EXPECT_THAT(got.plan.applied, ElementsAre("retry.jitter"));
  EXPECT_THAT(got.plan.restart, ElementsAre("dns.max_mx"));
  EXPECT_EQ(got.settings.retry.jitter, 0.1);
  EXPECT_EQ(got.settings.dns.max_mx, 3u);
}

TEST(reload, a_key_that_waits_is_named_at_each_reload_until_it_is_taken_back) {
  const auto first = reload(base, base + "[dns]\nmax_mx = 3\n");
  const auto again = config::load_text(base + "[dns]\nmax_mx = 3\n", "h.toml", options);
  EXPECT_THAT(config::plan_reload(first.plan.root, again->root).restart, ElementsAre("dns.max_mx"));
  EXPECT_THAT(config::plan_reload(first.plan.root, config::load_text(base, "h.toml", options)->root).restart,
              IsEmpty());
}

TEST(reload, names_that_follow_from_others_follow_those_in_force) {
  const auto got = reload(base, "[server]\nhostname = \"b.example\"\n[[server.listeners]]\naddr = \"127.0.0.1:2525\"\n"
                                "[storage]\nbase_path = \"/s\"\n");
  EXPECT_THAT(got.plan.restart, ElementsAre("server.hostname"));
  EXPECT_EQ(got.settings.server.helo_hostname, "a.example");
  EXPECT_EQ(got.settings.dsn.from, "MAILER-DAEMON@a.example");
}

TEST(reload, no_listener_gets_the_rules_of_another) {
  const auto before = with_listeners(listener("127.0.0.1:25", "relay_from = []\nrelay_domains = [\"in.example\"]\n") +
                                     listener("127.0.0.1:2525", "relay_from = [\"10.0.0.0/8\"]\n"));
  const auto after = with_listeners(listener("127.0.0.1:587", "relay_from = [\"192.0.2.0/24\"]\n") +
                                    listener("127.0.0.1:2525", "relay_from = [\"10.0.0.0/8\"]\n") +
                                    listener("127.0.0.1:25", "relay_from = []\nrelay_domains = [\"in.example\"]\n"));
  const auto got = reload(before, after);
  EXPECT_THAT(got.plan.applied, IsEmpty());
  EXPECT_THAT(got.plan.restart, ElementsAre("server.listeners[127.0.0.1:587]"));
  ASSERT_EQ(got.settings.server.listeners.size(), 2u);
  EXPECT_EQ(got.settings.server.listeners[0].addr.text(), "127.0.0.1:25") << "sessions know theirs by its number";
  EXPECT_THAT(at(got.settings, "127.0.0.1:25").relay_from, IsEmpty());
  EXPECT_THAT(at(got.settings, "127.0.0.1:2525").relay_from, ElementsAre(*config::parse_network("10.0.0.0/8")));
}

TEST(reload, a_listener_that_goes_keeps_its_rules_until_the_restart) {
  const auto got = reload(with_listeners(listener("127.0.0.1:25", "relay_from = []\n") + listener("127.0.0.1:2525")),
                          with_listeners(listener("127.0.0.1:2525", "relay_from = [\"10.0.0.0/8\"]\n")));
  EXPECT_THAT(got.plan.restart, ElementsAre("server.listeners[127.0.0.1:25]"));
  EXPECT_THAT(got.plan.applied, ElementsAre("server.listeners[127.0.0.1:2525].relay_from"));
  EXPECT_THAT(at(got.settings, "127.0.0.1:25").relay_from, IsEmpty());
}

TEST(reload, a_listener_is_known_by_its_address_however_it_is_written) {
  const auto got = reload(base, with_listeners(listener("localhost:2525", "relay_from = [\"10.0.0.0/8\"]\n")));
  EXPECT_THAT(got.plan.applied, ElementsAre("server.listeners[127.0.0.1:2525].relay_from"));
}

TEST(reload, listeners_on_port_0_are_never_taken_for_each_other) {
  const auto two = with_listeners(listener("127.0.0.1:0", "name = \"a\"\nrelay_from = []\n") +
                                  listener("127.0.0.1:0", "name = \"b\"\n"));
  const auto got = reload(two, two);
  EXPECT_THAT(got.settings.server.listeners[0].relay_from, IsEmpty());
  EXPECT_EQ(got.settings.server.listeners[1].relay_from.size(), 2u);
  EXPECT_THAT(got.plan.applied, IsEmpty());
}

TEST(reload, tls_of_a_listener_comes_and_goes_with_a_restart) {
  const auto tls =
      with_listeners(listener("127.0.0.1:25", "[server.listeners.tls]\ncert_path = \"c\"\nkey_path = \"k\"\n"));
  const auto none = with_listeners(listener("127.0.0.1:25"));
  EXPECT_THAT(reload(none, tls).plan.restart, ElementsAre("server.listeners[127.0.0.1:25].tls"));
  EXPECT_FALSE(reload(none, tls).settings.server.listeners[0].tls);
  EXPECT_TRUE(reload(tls, none).settings.server.listeners[0].tls);
  const auto other = with_listeners(
      listener("127.0.0.1:25", "[server.listeners.tls]\ncert_path = \"d\"\nkey_path = \"k\"\nmode = \"starttls\"\n"));
  const auto got = reload(tls, other);
  EXPECT_THAT(got.plan.applied, ElementsAre("server.listeners[127.0.0.1:25].tls.cert_path"));
  EXPECT_THAT(got.plan.restart, ElementsAre("server.listeners[127.0.0.1:25].tls.mode"));
  EXPECT_EQ(got.settings.server.listeners[0].tls->mode, config::listener_tls::implicit);
}

TEST(reload, the_order_of_routes_matters) {
  const std::string first = "[[routes]]\ndomains = [\"a.example\"]\n";
  const std::string second = "[[routes]]\ndomains = [\"b.example\"]\n";
  const auto got = reload(base + first + second, base + second + first);
  EXPECT_THAT(got.plan.applied, ElementsAre("routes.domains"));
  EXPECT_THAT(got.settings.routes.front().domains, ElementsAre("b.example"));
}

TEST(reload, adding_a_route_or_a_key_needs_no_restart) {
  const auto route = reload(base, base + "[[routes]]\ndomains = [\"*\"]\nto = [\"192.0.2.1\"]\n");
  EXPECT_THAT(route.plan.restart, IsEmpty());
  EXPECT_THAT(route.plan.applied, ElementsAre("routes"));
  EXPECT_EQ(route.settings.routes.size(), 1u);
  const auto key =
      reload(base, base + "[server.dkim]\ndomain = \"a.example\"\nselector = \"s\"\nprivate_key = \"k\"\n");
  EXPECT_THAT(key.plan.restart, IsEmpty());
  EXPECT_EQ(key.settings.server.dkim.size(), 1u);
}

TEST(reload, users_come_and_go_but_for_the_first_and_the_last) {
  const std::string one = "[[server.auth]]\nusername = \"u\"\npassword = \"p\"\n";
  const std::string two = one + "[[server.auth]]\nusername = \"v\"\npassword = \"p\"\n";
  EXPECT_THAT(reload(base + one, base + two).plan.applied, ElementsAre("server.auth"));
  EXPECT_EQ(reload(base + one, base + two).settings.server.auth.size(), 2u);
  EXPECT_THAT(reload(base, base + one).plan.restart, ElementsAre("server.auth"));
  EXPECT_THAT(reload(base, base + one).settings.server.auth, IsEmpty());
  EXPECT_EQ(reload(base + one, base).settings.server.auth.size(), 1u);
}

TEST(reload, rules_of_filters_change_together_and_apart_from_providers) {
  const std::string rule = "[[filters]]\ntype = \"from_domain_filter\"\ndomain = [\"a.example\"]\n";
  const std::string other = "[[filters]]\ntype = \"to_domain_filter\"\ndomain = [\"b.example\"]\naction = \"deny\"\n";
  const std::string provider = "[[filters]]\nuse = \"x\"\n";
  const auto got = reload(base + provider + rule, base + rule + other + provider + "on_failure = \"reject\"\n");
  EXPECT_THAT(got.plan.applied, ElementsAre("filters"));
  EXPECT_THAT(got.plan.restart, ElementsAre("filters[x].on_failure"));
  EXPECT_EQ(got.settings.domain_rules.size(), 2u);
  ASSERT_EQ(got.settings.filters.size(), 1u);
  EXPECT_EQ(got.settings.filters[0].on_failure, config::failure_action::tempfail);
  EXPECT_THAT(reload(base, base + rule).settings.domain_rules, IsEmpty());
}

TEST(reload, a_provider_says_itself_which_of_its_keys_may_change) {
  const std::string before = "[[auth]]\nuse = \"ldap\"\nuri = \"a\"\nbase = \"a\"\n";
  const std::string after = "[[auth]]\nuse = \"ldap\"\nuri = \"b\"\nbase = \"b\"\n";
  const config::reload_options how{.provider_key_changes = [](auto list, auto use, auto key) {
    return list == "auth" && use == "ldap" && key == "uri";
  }};
  const auto got = reload(base + before, base + after, how);
  EXPECT_THAT(got.plan.applied, ElementsAre("auth[ldap].uri"));
  EXPECT_THAT(got.plan.restart, ElementsAre("auth[ldap].base"));
  EXPECT_EQ(got.settings.auth[0].settings->find("uri")->text, "b");
  EXPECT_EQ(got.settings.auth[0].settings->find("base")->text, "a");
}

TEST(reload, providers_neither_come_nor_go_nor_change_places) {
  const std::string a = "[[auth]]\nuse = \"a\"\n";
  const std::string b = "[[auth]]\nuse = \"b\"\n";
  EXPECT_THAT(reload(base + a, base + a + b).plan.restart, ElementsAre("auth[b]"));
  EXPECT_EQ(reload(base + a + b, base + a).settings.auth.size(), 2u);
  const auto swapped = reload(base + a + b, base + b + a);
  EXPECT_THAT(swapped.plan.restart, ElementsAre("auth"));
  EXPECT_EQ(swapped.settings.auth[0].use, "a");
  const auto other =
      reload(base + "[[auth]]\nuse = \"a\"\nname = \"n\"\n", base + "[[auth]]\nuse = \"b\"\nname = \"n\"\n");
  EXPECT_THAT(other.plan.restart, ElementsAre("auth[n]"));
  EXPECT_EQ(other.settings.auth[0].use, "a");
}

TEST(reload, keys_of_a_store_wait_for_a_restart) {
  const auto got = reload(base, base + "[storage.rocksdb]\nblock_cache = \"1MiB\"\n");
  EXPECT_THAT(got.plan.restart, ElementsAre("storage.rocksdb.block_cache"));
  EXPECT_FALSE(got.settings.storage.provider->find("block_cache"));
}

TEST(reload, keys_that_mean_nothing_are_not_spoken_of) {
  const auto got = reload(base, base + "[queue]\nappend_writers = 4\n");
  EXPECT_THAT(got.plan.applied, IsEmpty());
  EXPECT_THAT(got.plan.restart, IsEmpty());
}

TEST(schema, a_list_that_is_taken_over_whole_has_no_key_that_waits) {
  for (const auto& list : config::schema())
    for (const auto& key : config::schema())
      if (list.is_table() && list.has(config::reloadable) && key.parent() == list.path) {
        EXPECT_TRUE(key.has(config::reloadable)) << key.path;
      }
}

} // namespace
