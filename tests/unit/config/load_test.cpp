// SPDX-License-Identifier: Apache-2.0
#include "runtime/config/load.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "runtime/config/schema.hpp"
#include "tests/unit/config/file_contents.hpp"

namespace {

using namespace hedwig;
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
namespace fs = std::filesystem;

const config::load_options fixed{"machine.example.test", 2};
constexpr std::string_view least =
    "[server]\n[[server.listeners]]\naddr = \"127.0.0.1:2525\"\n[storage]\nbase_path = \"/s\"\n";

config::loaded good(std::string_view text, const std::string& path = "/etc/hedwig/hedwig.toml") {
  auto read = config::load_text(text, path, fixed);
  if (read)
    return std::move(*read);
  ADD_FAILURE() << config::to_text(read.error());
  return {};
}

std::string warnings(std::string_view extra, std::string_view base = least) {
  return config::to_text(good(std::string{base} + std::string{extra}, "h.toml").warnings);
}

TEST(load, the_least_file_gets_the_defaults_of_the_documents) {
  const auto read = good(least);
  EXPECT_EQ(config::to_text(read.warnings), "");
  const auto& s = read.settings;
  EXPECT_EQ(s.server.hostname, "machine.example.test");
  EXPECT_EQ(s.server.helo_hostname, "machine.example.test");
  EXPECT_EQ(s.server.max_retries, 5u);
  EXPECT_EQ(s.server.max_connections, 10000u);
  EXPECT_EQ(s.server.max_message_size, 26214400u);
  EXPECT_EQ(s.server.cmd_timeout, 5min);
  EXPECT_EQ(s.server.data_timeout, 10min);
  EXPECT_EQ(s.server.smtp, (config::pool_settings{100, 2, 10}));
  EXPECT_FALSE(s.server.metrics.bind);
  EXPECT_FALSE(s.server.health.bind);
  ASSERT_EQ(s.server.listeners.size(), 1u);
  const auto& listener = s.server.listeners[0];
  EXPECT_EQ(listener.name, "127.0.0.1:2525");
  EXPECT_EQ(listener.addr, (config::endpoint{"127.0.0.1", 2525, true}));
  EXPECT_FALSE(listener.tls);
  ASSERT_EQ(listener.relay_from.size(), 2u);
  EXPECT_TRUE(listener.relay_from[0].contains("127.9.9.9"));
  EXPECT_TRUE(listener.relay_from[1].contains("::1"));
  EXPECT_TRUE(listener.relay_domains.empty());
  EXPECT_FALSE(listener.require_auth);
  EXPECT_FALSE(listener.allow_auth_in_clear);
  EXPECT_EQ(s.storage.storage_type, "rocksdb");
  EXPECT_EQ(s.storage.base_path, "/s");
  EXPECT_FALSE(s.storage.cleanup.bounced_retention);
  EXPECT_EQ(s.storage.cleanup.interval, 1h);
  ASSERT_NE(s.storage.provider, nullptr);
  EXPECT_EQ(s.queue.pending_append_bytes, 134217728u);
  EXPECT_EQ(s.queue.disk_reserve_bytes, 1073741824u);
  EXPECT_EQ(s.outbound.port, 25);
  EXPECT_FALSE(s.outbound.paused);
  EXPECT_EQ(s.outbound.tls, config::outbound_tls::opportunistic);
  EXPECT_FALSE(s.outbound.allow_private_mx);
  EXPECT_EQ(s.retry.initial_delay, 60s);
  EXPECT_EQ(s.retry.max_delay, 24h);
  EXPECT_EQ(s.retry.jitter, 0.1);
  EXPECT_EQ(s.retry.expire_after, 120h);
  EXPECT_FALSE(s.dsn.delay_warning);
  EXPECT_EQ(s.dsn.from, "MAILER-DAEMON@machine.example.test");
  EXPECT_EQ(s.server.postmaster, "postmaster@machine.example.test");
  EXPECT_EQ(s.admin.socket, "/run/hedwig/admin.sock");
  EXPECT_EQ(s.admin.mode, 0660u);
  EXPECT_THAT(s.plugins.directories, ElementsAre("/usr/lib/hedwig/plugins"));
  EXPECT_EQ(s.log.level, "info");
  EXPECT_EQ(s.log.format, config::log_format::fmt);
  EXPECT_EQ(s.process.io_loops, 2u);
  EXPECT_EQ(s.process.scheduler_threads, 2u);
}

TEST(load, the_example_of_the_project_is_read_as_it_is) {
  const auto read = good(R"([server]
hostname = "relay.example.test"
[[server.listeners]]
addr = "127.0.0.1:2525"
relay_from = ["127.0.0.0/8", "::1/128"]
relay_domains = []
[[routes]]
domains = ["*"]
to = ["127.0.0.1:2600"]
tls = "opportunistic"
[outbound]
port = 25
paused = false
[dns]
servers = ["127.0.0.1:5353"]
[retry]
initial_delay = "60s"
max_delay = "24h"
jitter = 0.1
expire_after = "5d"
[dsn]
delay_warning = "off"
[storage]
storage_type = "rocksdb"
base_path = "/var/lib/hedwig"
[admin]
socket = "/run/hedwig/admin.sock"
[plugins]
directories = ["/usr/lib/hedwig/plugins"]
)");
  EXPECT_EQ(config::to_text(read.warnings), "");
  ASSERT_EQ(read.settings.routes.size(), 1u);
  EXPECT_THAT(read.settings.routes[0].to, ElementsAre(config::endpoint{"127.0.0.1", 2600, true}));
  EXPECT_THAT(read.settings.dns.servers, ElementsAre(config::endpoint{"127.0.0.1", 5353, true}));
}

TEST(load, a_file_of_hedwig_0_10_with_every_key_loads_and_warns) {
  const auto read =
      good(hedwig::test::file_contents("tests/unit/config/hedwig-0.10.toml"), "/etc/hedwig/hedwig-0.10.toml");
  const auto& s = read.settings;
  EXPECT_EQ(s.log.format, config::log_format::json);
  EXPECT_EQ(s.server.data_timeout, 10min);
  EXPECT_EQ(s.server.smtp, (config::pool_settings{50, 4, 4}));
  EXPECT_EQ(s.server.metrics.bind->text(), "127.0.0.1:9090");
  EXPECT_EQ(s.server.health.bind->text(), "127.0.0.1:8080");
  ASSERT_EQ(s.server.listeners.size(), 3u);
  EXPECT_EQ(s.server.listeners[1].tls->mode, config::listener_tls::implicit);
  EXPECT_EQ(s.server.listeners[2].tls->mode, config::listener_tls::starttls);
  EXPECT_EQ(s.server.listeners[2].addr.text(), "[::]:587");
  ASSERT_EQ(s.server.auth.size(), 2u);
  EXPECT_EQ(s.server.auth[1].password.reveal(), "builder");
  ASSERT_EQ(s.server.dkim.size(), 1u);
  EXPECT_EQ(s.server.dkim[0].private_key, "/etc/hedwig/keys/dkim.pem");
  EXPECT_EQ(s.server.dkim[0].key_type, config::dkim_key_type::ed25519);
  EXPECT_THAT(s.server.dkim[0].domains, ElementsAre("example.com", "*.example.com"));
  EXPECT_EQ(s.server.rate_limits.default_limit, 60u);
  EXPECT_EQ(s.server.rate_limits.domain_limits.at("gmail.com"), 120u);
  EXPECT_EQ(s.storage.storage_type, "rocksdb");
  EXPECT_EQ(s.storage.base_path, "/etc/hedwig/spool");
  EXPECT_EQ(s.storage.cleanup.bounced_retention, 168h);
  ASSERT_EQ(s.domain_rules.size(), 3u);
  EXPECT_THAT(s.domain_rules[0].domain, ElementsAre("example.com", "example.org"));
  EXPECT_EQ(s.domain_rules[1].action, config::filter_action::deny);
  EXPECT_EQ(s.domain_rules[2].type, config::filter_type::to_domain_filter);
  EXPECT_EQ(s.domain_rules[2].action, config::filter_action::allow);

  std::vector<std::uint32_t> lines;
  for (const auto& one : read.warnings)
    lines.push_back(one.line);
  EXPECT_TRUE(std::is_sorted(lines.begin(), lines.end()));
  const auto text = config::to_text(read.warnings);
  for (const char* key :
       {"server.workers", "server.queue_buffer", "server.pool_size", "server.smtp.max_size", "storage.storage_type",
        "queue.append_writers", "queue.segment_target_bytes", "queue.compaction_dead_ratio", "queue.compaction_min_age",
        "queue.checkpoint_interval_bytes", "server.listeners at \"0.0.0.0:2525\""})
    EXPECT_THAT(text, HasSubstr(std::string{": "} + key + " ")) << text;
  EXPECT_EQ(read.warnings.size(), 11u) << text;
}

TEST(load, the_installed_default_and_every_example_load) {
  EXPECT_EQ(config::to_text(good(hedwig::test::file_contents("config/hedwig.toml")).warnings), "");
  std::size_t examples = 0;
  for (const auto& entry : fs::directory_iterator{"config/examples"}) {
    const auto read = good(hedwig::test::file_contents(entry.path()), entry.path().string());
    EXPECT_EQ(config::to_text(read.warnings), "") << entry.path();
    ++examples;
  }
  EXPECT_GE(examples, 3u);
}

// What the default file shows behind a # is what happens without it.
TEST(load, the_commented_keys_of_the_installed_file_are_the_defaults_or_valid) {
  std::istringstream lines{hedwig::test::file_contents("config/hedwig.toml")};
  std::string uncommented;
  for (std::string line; std::getline(lines, line);) {
    const bool key = line.starts_with("# [") || (line.starts_with("# ") && line.find(" = ") != line.npos);
    uncommented += (key ? line.substr(2) : line) + "\n";
  }
  (void)good(uncommented);
}

TEST(load, tables_and_lists_of_tables_mean_the_same_where_both_are_read) {
  for (const char* text : {"[server.auth]\nusername = \"u\"\npassword = \"p\"\n",
                           "[[server.auth]]\nusername = \"u\"\npassword = \"p\"\n"}) {
    const auto read = good(std::string{least} + text);
    ASSERT_EQ(read.settings.server.auth.size(), 1u);
    EXPECT_EQ(read.settings.server.auth[0].username, "u");
  }
}

TEST(load, the_old_name_of_the_log_format_is_the_same_format) {
  EXPECT_EQ(good(std::string{least} + "[log]\nformat = \"text\"\n").settings.log.format, config::log_format::fmt);
}

TEST(load, json_says_the_same_as_toml) {
  const auto read = good(R"({
    "server": {"hostname": "relay.example.test", "listeners": [{"addr": "127.0.0.1:2525", "relay_from": []}],
               "auth": {"username": "ü\"\\", "password": "x"}},
    "retry": {"jitter": 0.25, "initial_delay": "5s"},
    "storage": {"base_path": "spool"}
  })",
                         "/etc/hedwig/hedwig.json");
  EXPECT_EQ(read.settings.server.hostname, "relay.example.test");
  EXPECT_TRUE(read.settings.server.listeners.at(0).relay_from.empty());
  EXPECT_EQ(read.settings.server.auth.at(0).username, "ü\"\\");
  EXPECT_EQ(read.settings.retry.jitter, 0.25);
  EXPECT_EQ(read.settings.retry.initial_delay, 5s);
  EXPECT_EQ(read.settings.storage.base_path, "/etc/hedwig/spool");
}

TEST(load, keys_of_providers_are_handed_on_with_their_places) {
  const auto read =
      good(std::string{least} +
           "storage_type = \"fs\"\n[storage.fs]\ndepth = 2\n"
           "[[auth]]\nuse = \"ldap\"\nurl = \"ldap://x\"\n[auth.tls]\nverify = true\n"
           "[[filters]]\nuse = \"antivirus\"\nname = \"av\"\non_failure = \"proceed\"\nsocket = \"/x\"\n");
  const auto& s = read.settings;
  ASSERT_NE(s.storage.provider->find("depth"), nullptr);
  EXPECT_EQ(s.storage.provider->find("depth")->integer, 2);
  EXPECT_EQ(s.storage.provider->find("depth")->line, 8u);
  ASSERT_EQ(s.auth.size(), 1u);
  EXPECT_EQ(s.auth[0].name, "ldap");
  EXPECT_EQ(s.auth[0].settings->find("url")->text, "ldap://x");
  EXPECT_TRUE(s.auth[0].settings->find("tls")->find("verify")->boolean);
  EXPECT_EQ(s.auth[0].settings->find("use"), nullptr);
  ASSERT_EQ(s.filters.size(), 1u);
  EXPECT_EQ(s.filters[0].name, "av");
  EXPECT_EQ(s.filters[0].on_failure, config::failure_action::proceed);
  EXPECT_EQ(s.filters[0].settings->find("socket")->text, "/x");
}

TEST(load, the_storage_of_a_plugin_is_taken_when_it_has_a_table) {
  EXPECT_EQ(
      good(std::string{least} + "storage_type = \"postgres\"\n[storage.postgres]\n").settings.storage.storage_type,
      "postgres");
}

TEST(load_warnings, doubtful_settings_are_told_with_their_place) {
  EXPECT_EQ(warnings("[outbound]\npaused = true\n"),
            "h.toml:7:10: outbound.paused is set: nothing is delivered until \"hedwig-admin resume\"\n");
  EXPECT_THAT(warnings("[admin]\nbind = \"0.0.0.0:8000\"\n"),
              HasSubstr("h.toml:7:8: admin.bind = \"0.0.0.0:8000\" lets everyone"));
  EXPECT_THAT(warnings("[dsn]\ndelay_warning = \"9d\"\n"), HasSubstr("dsn.delay_warning = \"9d\" never comes"));
  EXPECT_THAT(warnings("[[routes]]\ndomains = [\"*\"]\n[[routes]]\ndomains = [\"a.example\"]\n"),
              HasSubstr("h.toml:8:1: routes: never reached, the route in line 6 takes every domain"));
  EXPECT_THAT(warnings("[server.auth]\nusername = \"u\"\npassword = \"p\"\n"), HasSubstr("server.auth is of no use"));
  EXPECT_THAT(
      warnings("[server.dkim]\ndomain = \"a.example\"\nselector = \"s\"\nprivate_key = \"k\"\nexpire_after = \"2d\"\n"),
      HasSubstr("server.dkim.expire_after = \"2d\" ends before retry.expire_after"));
}

std::string listener_warnings(std::string_view keys) {
  return warnings({}, "[storage]\nbase_path = \"/s\"\n[server]\nhostname = \"a.b\"\n[[server.listeners]]\n" +
                          std::string{keys});
}

TEST(load_warnings, an_open_relay_is_told) {
  EXPECT_THAT(listener_warnings("addr = \"0.0.0.0:25\"\nrelay_from = [\"10.0.0.0/8\", \"0.0.0.0/0\"]\n"),
              HasSubstr("h.toml:7:14: server.listeners.relay_from holds \"0.0.0.0/0\", so anyone may relay"));
  EXPECT_THAT(listener_warnings("addr = \"[::]:25\"\nrelay_from = [\"::/0\"]\n"), HasSubstr("so anyone may relay"));
  EXPECT_THAT(listener_warnings("addr = \"0.0.0.0:25\"\nrelay_domains = [\"*\"]\n"), HasSubstr("so anyone may relay"));
}

TEST(load_warnings, a_relay_for_nobody_or_this_machine_only_is_told) {
  EXPECT_THAT(listener_warnings("addr = \"0.0.0.0:25\"\n"), HasSubstr("relays for this machine only"));
  EXPECT_THAT(listener_warnings("addr = \"127.0.0.1:25\"\nrelay_from = []\n"), HasSubstr("relays for nobody"));
  EXPECT_EQ(listener_warnings("addr = \"0.0.0.0:25\"\nrelay_from = [\"10.0.0.0/8\"]\n"), "");
}

TEST(load_warnings, a_host_name_without_a_dot_is_told) {
  const auto read = config::load_text(least, "h.toml", {"laptop", 1});
  ASSERT_TRUE(read);
  EXPECT_THAT(config::to_text(read->warnings), HasSubstr("h.toml:1:1: server.hostname is \"laptop\" and has no dot"));
}

TEST(load, a_file_that_is_not_there_or_too_long_is_one_error) {
  const auto absent = config::load("/nonexistent/hedwig.toml");
  ASSERT_FALSE(absent);
  EXPECT_THAT(config::to_text(absent.error()), HasSubstr("/nonexistent/hedwig.toml: "));
  const auto folder = config::load("/tmp");
  EXPECT_FALSE(folder);
  const auto huge = config::load_text(std::string(config::file_size_max + 1, '#'), "h.toml");
  ASSERT_FALSE(huge);
  EXPECT_THAT(huge.error()[0].message, HasSubstr("longer than 1048576 bytes"));
}

TEST(load, errors_are_sorted_and_have_an_end) {
  std::string text{least};
  text += "[[routes]]\ndomains = [";
  for (int n = 0; n < 500; ++n)
    text += "\n  \"bad domain\",";
  const auto read = config::load_text(text + "]\n", "h.toml", fixed);
  ASSERT_FALSE(read);
  ASSERT_EQ(read.error().size(), config::errors_max + 1);
  EXPECT_EQ(read.error().back().text(), "h.toml: 400 more of these: mend the first ones");
}

TEST(load, deep_nesting_is_an_error_and_not_a_crash) {
  for (const char* path : {"h.json", "h.toml"}) {
    std::string deep = std::string{path} == "h.json" ? "{\"a\": " : "a = ";
    deep += std::string(200000, '[');
    EXPECT_FALSE(config::load_text(deep, path, fixed)) << path;
  }
}

TEST(load, no_cut_of_a_good_file_crashes) {
  const auto text = hedwig::test::file_contents("tests/unit/config/hedwig-0.10.toml");
  for (std::size_t size = 0; size < text.size(); size += 7)
    (void)config::load_text(std::string_view{text}.substr(0, size), "h.toml", fixed);
  const auto json = hedwig::test::file_contents("tests/unit/config/broken/json_wrong.json");
  for (std::size_t size = 0; size < json.size(); ++size)
    EXPECT_FALSE(config::load_text(std::string_view{json}.substr(0, size), "h.json", fixed));
}

TEST(schema, defaults_are_those_of_the_least_file) {
  const auto read = good(least);
  const auto made = config::defaults("machine.example.test");
  EXPECT_EQ(made.retry, read.settings.retry);
  EXPECT_EQ(made.outbound, read.settings.outbound);
  EXPECT_EQ(made.queue, read.settings.queue);
  EXPECT_EQ(made.dns, read.settings.dns);
  EXPECT_EQ(made.dsn, read.settings.dsn);
  EXPECT_EQ(made.admin, read.settings.admin);
  EXPECT_EQ(made.server.smtp, read.settings.server.smtp);
  EXPECT_EQ(made.server.hostname, read.settings.server.hostname);
  auto listener = config::default_listener();
  listener.addr = {"127.0.0.1", 2525, true};
  listener.name = "127.0.0.1:2525";
  EXPECT_EQ(listener, read.settings.server.listeners.at(0));
}

TEST(schema, every_entry_is_complete) {
  std::vector<std::string_view> paths;
  for (const auto& key : config::schema()) {
    EXPECT_EQ(std::find(paths.begin(), paths.end(), key.path), paths.end()) << key.path << " stands twice";
    EXPECT_TRUE(key.parent().empty() || std::find(paths.begin(), paths.end(), key.parent()) != paths.end()) << key.path;
    EXPECT_TRUE(key.help.ends_with('.')) << key.path;
    EXPECT_EQ(key.is_table(), key.open != nullptr) << key.path;
    EXPECT_EQ(key.has(config::idle) || key.has(config::deprecated), !key.note.empty()) << key.path;
    paths.push_back(key.path);
  }
}

TEST(schema, configuration_md_is_printed_from_it) {
  if (std::getenv("UPDATE_DOCS"))
    std::ofstream{"docs/configuration.md", std::ios::binary} << config::reference_markdown();
  EXPECT_EQ(hedwig::test::file_contents("docs/configuration.md"), config::reference_markdown())
      << "print it again: UPDATE_DOCS=1 in the environment of this test";
}

} // namespace
