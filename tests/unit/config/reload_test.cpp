// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/config/load.hpp"

namespace {

using namespace hedwig;
using testing::ElementsAre;
using testing::IsEmpty;

const std::string base = "[server]\nhostname = \"a.example\"\n[[server.listeners]]\naddr = \"127.0.0.1:2525\"\n"
                         "[storage]\nbase_path = \"/s\"\n";

config::reload_report difference(const std::string& before, const std::string& after) {
  const auto old_file = config::load_text(before, "h.toml", {"m.example", 1});
  const auto new_file = config::load_text(after, "h.toml", {"m.example", 1});
  if (!old_file || !new_file) {
    ADD_FAILURE() << config::to_text(old_file ? new_file.error() : old_file.error());
    return {};
  }
  return config::reload_difference(*old_file, *new_file);
}

TEST(reload, the_same_settings_written_otherwise_are_no_difference) {
  const auto report = difference(base, "# a comment\n[storage]\nbase_path = \"/s\"\n[retry]\njitter = 0.1\n[server]\n"
                                       "hostname = \"a.example\"\n[[server.listeners]]\naddr = \"127.0.0.1:2525\"\n");
  EXPECT_TRUE(report.empty());
}

TEST(reload, keys_are_parted_by_what_can_change_while_running) {
  const auto report = difference(base, base + "[retry]\njitter = 0.5\n[log]\nlevel = \"debug\"\nformat = \"json\"\n"
                                              "[process]\nio_loops = 4\n");
  EXPECT_THAT(report.applied, ElementsAre("log.level", "retry.jitter"));
  EXPECT_THAT(report.restart, ElementsAre("log.format", "process.io_loops"));
}

TEST(reload, keys_of_listeners_are_told_apart_from_the_list) {
  EXPECT_THAT(difference(base, base + "[[server.listeners]]\naddr = \"127.0.0.1:2526\"\n").restart,
              testing::Contains("server.listeners"));
  auto changed = base;
  changed.insert(changed.find("[storage]"), "relay_from = [\"10.0.0.0/8\"]\n");
  const auto report = difference(base, changed);
  EXPECT_THAT(report.applied, ElementsAre("server.listeners.relay_from"));
  EXPECT_THAT(report.restart, IsEmpty());
}

TEST(reload, the_order_of_routes_matters) {
  const std::string first = "[[routes]]\ndomains = [\"a.example\"]\n";
  const std::string second = "[[routes]]\ndomains = [\"b.example\"]\n";
  EXPECT_THAT(difference(base + first + second, base + second + first).applied, ElementsAre("routes.domains"));
}

TEST(reload, adding_a_route_or_a_key_or_a_user_needs_no_restart) {
  const auto route = difference(base, base + "[[routes]]\ndomains = [\"*\"]\nto = [\"192.0.2.1\"]\n");
  EXPECT_THAT(route.restart, IsEmpty());
  EXPECT_THAT(route.applied, testing::Contains("routes"));
  EXPECT_THAT(
      difference(base, base + "[server.dkim]\ndomain = \"a.example\"\nselector = \"s\"\nprivate_key = \"k\"\n").restart,
      IsEmpty());
  EXPECT_THAT(difference(base, base + "[server.auth]\nusername = \"u\"\npassword = \"p\"\n").restart, IsEmpty());
}

TEST(reload, keys_of_a_provider_count_as_its_table) {
  EXPECT_THAT(difference(base, base + "[storage.rocksdb]\nblock_cache = \"1MiB\"\n").restart,
              ElementsAre("storage.rocksdb"));
}

} // namespace
