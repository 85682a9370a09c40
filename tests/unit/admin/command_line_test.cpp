// SPDX-License-Identifier: Apache-2.0
#include "admin/command_line.hpp"

#include <gtest/gtest.h>

namespace hedwig::admin {
namespace {

command_line well(const std::vector<std::string_view>& arguments, std::string_view socket = {}) {
  auto made = parse(arguments, socket);
  EXPECT_TRUE(made) << (made ? "" : made.error());
  return made.value_or(command_line{});
}

std::string wrong(const std::vector<std::string_view>& arguments) {
  auto made = parse(arguments, {});
  EXPECT_FALSE(made);
  return made ? "" : made.error();
}

TEST(admin_command_line, takes_options_before_and_after_the_command) {
  for (auto& arguments :
       std::vector<std::vector<std::string_view>>{{"--socket", "/s", "--json", "queue", "list", "--state", "held"},
                                                  {"queue", "--state=held", "list", "--json", "--socket=/s"}}) {
    auto made = well(arguments);
    EXPECT_EQ(made.what, command::queue_list);
    EXPECT_EQ(made.place.socket, "/s");
    EXPECT_EQ(made.state, "held");
    EXPECT_TRUE(made.json);
  }
}

TEST(admin_command_line, finds_the_socket_by_option_then_environment_then_default) {
  EXPECT_EQ(well({"status"}).place.socket, "/run/hedwig/admin.sock");
  EXPECT_EQ(well({"status"}, "/env").place.socket, "/env");
  EXPECT_EQ(well({"--socket", "/option", "status"}, "/env").place.socket, "/option");
}

TEST(admin_command_line, reads_urls) {
  auto made = well({"--url", "http://127.0.0.1:8025/", "status"});
  EXPECT_EQ(made.place.host, "127.0.0.1");
  EXPECT_EQ(made.place.port, 8025);
  EXPECT_EQ(well({"--url=http://[::1]:80", "status"}).place.host, "::1");
  for (auto* url :
       {"127.0.0.1:8025", "https://a:1", "http://a", "http://:1", "http://a:0", "http://a:65536", "http://a:1/v1"})
    EXPECT_NE(wrong({"--url", url, "status"}).find("http://HOST:PORT"), std::string::npos) << url;
}

TEST(admin_command_line, takes_several_ids) {
  auto made = well({"queue", "retry", "A", "B", "-"});
  EXPECT_EQ(made.what, command::queue_change);
  EXPECT_EQ(made.verb, "retry");
  EXPECT_EQ(made.ids, (std::vector<std::string>{"A", "B", "-"}));
  EXPECT_EQ(well({"queue", "show", "--", "-x"}).ids, std::vector<std::string>{"-x"});
}

TEST(admin_command_line, takes_a_filter_or_none) {
  EXPECT_EQ(well({"log-level"}).filter, "");
  EXPECT_EQ(well({"log-level", "info,delivery=debug"}).filter, "info,delivery=debug");
  EXPECT_NE(wrong({"log-level", "a", "b"}).find("one filter"), std::string::npos);
}

TEST(admin_command_line, reads_whose_sessions_are_meant) {
  auto made = well({"sessions", "--client", "192.0.2.0/24", "--user=ann", "--listener", "in", "--limit", "5", "--all"});
  EXPECT_EQ(made.what, command::sessions_list);
  EXPECT_EQ(made.client, "192.0.2.0/24");
  EXPECT_EQ(made.user, "ann");
  EXPECT_EQ(made.listener, "in");
  EXPECT_EQ(made.limit, 5u);
  EXPECT_EQ(well({"sessions"}).what, command::sessions_list);
  EXPECT_EQ(well({"sessions", "list"}).what, command::sessions_list);
  EXPECT_EQ(well({"sessions", "kill", "4", "5"}).ids, (std::vector<std::string>{"4", "5"}));
  EXPECT_EQ(well({"sessions", "kill", "--user", "ann"}).what, command::sessions_kill);
  EXPECT_EQ(wrong({"sessions", "kill"}), "sessions kill needs ids of sessions, or whose: --client, --user, --listener");
  EXPECT_NE(wrong({"sessions", "kill", "4", "--user", "ann"}), "");
  EXPECT_EQ(wrong({"sessions", "eat"}), "after sessions comes list or kill, not eat");
  EXPECT_EQ(wrong({"status", "--user", "ann"}), "--client, --user and --listener belong to sessions and trace");
}

TEST(admin_command_line, reads_how_long_a_trace_lasts) {
  for (auto [text, seconds] : {std::pair{"90", 90u}, {"90s", 90u}, {"10m", 600u}, {"24h", 86'400u}})
    EXPECT_EQ(well({"trace", "--user", "ann", "--for", text}).seconds, seconds) << text;
  for (auto* text : {"0", "25h", "1d", "m", "-1", "9999999999m"})
    EXPECT_NE(wrong({"trace", "--user", "ann", "--for", text}).find("--for is a time"), std::string::npos) << text;
  EXPECT_EQ(wrong({"trace"}), "trace needs to know whom: --client, --user, --listener");
  EXPECT_EQ(wrong({"sessions", "--for", "1m"}), "--for belongs to trace");
}

TEST(admin_command_line, says_what_is_wrong) {
  EXPECT_EQ(wrong({}), "a command is missing");
  EXPECT_EQ(wrong({"fly"}), "no such command fly");
  EXPECT_EQ(wrong({"\x1b[0m"}), "no such command \\x1b[0m");
  EXPECT_EQ(wrong({"--wings", "status"}), "unknown option --wings");
  EXPECT_EQ(wrong({"status", "--socket"}), "--socket needs a value");
  EXPECT_EQ(wrong({"status", "now"}), "status takes nothing more: now");
  EXPECT_EQ(wrong({"queue", "hold"}), "queue hold needs the id of a message");
  EXPECT_EQ(wrong({"queue"}), "after queue comes list, show, retry, hold, release, bounce or delete");
  EXPECT_EQ(wrong({"queue", "list", "--limit", "0"}), "--limit is a number from 1 to 1000, not 0");
  EXPECT_EQ(wrong({"queue", "list", "--limit", "5x"}), "--limit is a number from 1 to 1000, not 5x");
  EXPECT_EQ(wrong({"queue", "list", "--state", "lost"}),
            "no such state lost: queued, deferred, held, bounced, quarantined or all");
  EXPECT_EQ(wrong({"queue", "show", "A", "--limit", "5"}), "--limit and --cursor belong to queue list and sessions");
  EXPECT_EQ(wrong({"status", "--all"}), "--all belongs to actors, queue list and sessions");
}

TEST(admin_command_line, helps_whatever_else_is_there) {
  EXPECT_EQ(well({"--help"}).what, command::help);
  EXPECT_EQ(well({"queue", "-h"}).what, command::help);
  EXPECT_EQ(well({"help"}).what, command::help);
  EXPECT_EQ(well({"--version"}).what, command::version);
  for (auto* word : {"status", "actors", "queue list", "queue show", "queue retry", "queue hold", "queue release",
                     "queue bounce", "queue delete", "sessions kill", "trace", "log-level", "pause", "resume",
                     "--socket", "--url", "--json", "exit status"})
    EXPECT_NE(help_text().find(word), std::string_view::npos) << word;
}

} // namespace
} // namespace hedwig::admin
