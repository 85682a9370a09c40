// SPDX-License-Identifier: Apache-2.0
#include "runtime/queue/route.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>

namespace hedwig::queue {
namespace {

route to(std::vector<std::string> domains, std::string host) {
  return {std::move(domains), {{std::move(host), 25}}, {}};
}

std::string found(const route_table& table, std::string_view domain) {
  auto& match = table.find(domain);
  return match.by_mx() ? "mx" : match.to[0].host;
}

TEST(route_table, without_routes_sends_everything_by_mx) {
  route_table table;
  EXPECT_TRUE(table.find("example.com").by_mx());
  EXPECT_EQ(table.find("example.com").tls, tls_mode::opportunistic);
}

TEST(route_table, the_first_match_wins_and_not_the_closest) {
  auto table = route_table::make({to({"*.example.com"}, "a"), to({"mail.example.com", "example.com"}, "b"),
                                  to({"*"}, "c"), to({"later.test"}, "d")});
  ASSERT_TRUE(table);
  EXPECT_EQ(found(*table, "mail.example.com"), "a");
  EXPECT_EQ(found(*table, "example.com"), "b");
  EXPECT_EQ(found(*table, "deep.mail.example.com"), "a");
  EXPECT_EQ(found(*table, "notexample.com"), "c");
  EXPECT_EQ(found(*table, "later.test"), "c");
  EXPECT_EQ(found(*table, ""), "c");
}

TEST(route_table, knows_no_case_and_no_trailing_dot) {
  auto table = route_table::make({to({"Example.COM"}, "a")});
  ASSERT_TRUE(table);
  EXPECT_EQ(found(*table, "EXAMPLE.com."), "a");
  EXPECT_EQ(found(*table, "example.org"), "mx");
}

TEST(route_table, routes_domain_literals) {
  auto table = route_table::make({to({"[192.0.2.1]"}, "a")});
  ASSERT_TRUE(table);
  EXPECT_EQ(found(*table, "[192.0.2.1]"), "a");
}

TEST(route_table, names_route_and_pattern_of_a_bad_one) {
  for (auto bad : {"", "*.", "*x.com", "a@b.com", "ex ample.com", ".example.com", "a..b", "x*"}) {
    auto table = route_table::make({to({"fine.test"}, "a"), to({bad}, "b")});
    ASSERT_FALSE(table) << bad;
    EXPECT_EQ(table.error().status, HEDWIG_E_CONFIG);
    EXPECT_EQ(table.error().where, "routes[1].domains");
  }
}

TEST(route_table, finds_one_of_ten_thousand_without_walking_them) {
  std::vector<route> routes;
  for (int i = 0; i < 10'000; ++i)
    routes.push_back(to({fmt::format("d{}.test", i), fmt::format("*.w{}.test", i)}, fmt::format("h{}", i)));
  auto table = route_table::make(std::move(routes));
  ASSERT_TRUE(table);
  auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 10'000; ++i) {
    ASSERT_EQ(found(*table, fmt::format("d{}.test", i)), fmt::format("h{}", i));
    ASSERT_EQ(found(*table, fmt::format("a.b.w{}.test", i)), fmt::format("h{}", i));
  }
  // A walk would take 10^8 comparisons.
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds{1});
}

TEST(route_table, a_name_of_dots_costs_no_quadratic_time) {
  auto table = route_table::make({to({"*.example.com"}, "a")});
  ASSERT_TRUE(table);
  EXPECT_EQ(found(*table, std::string(1'000'000, '.')), "mx");
}

TEST(next_hop, is_read_in_every_form) {
  struct example {
    const char* text;
    const char* host;
    int port;
  };
  for (auto& [text, host, port] : {example{"Relay.Example.com", "relay.example.com", 25},
                                   {"h:2525", "h", 2525},
                                   {"192.0.2.1:26", "192.0.2.1", 26},
                                   {"[2001:DB8::1]:27", "2001:db8::1", 27},
                                   {"[::1]", "::1", 25},
                                   {"2001:db8::1", "2001:db8::1", 25}}) {
    auto hop = parse_next_hop(text);
    ASSERT_TRUE(hop) << text;
    EXPECT_EQ(hop->host, host);
    EXPECT_EQ(hop->port, port);
    EXPECT_EQ(parse_next_hop(hop->text()), *hop);
  }
}

TEST(next_hop, says_what_is_wrong) {
  for (auto bad :
       {"", ":25", "h:", "h:0", "h:65536", "h:25x", "[::1", "[::1]25", "[x]:25", "a b", "h:-1", "[]:25", "*"})
    EXPECT_FALSE(parse_next_hop(bad)) << bad;
  EXPECT_NE(parse_next_hop("h:99999").error().message.find("99999"), std::string::npos);
}

TEST(tls_mode, has_four_names) {
  for (auto name : {"none", "opportunistic", "require", "verify"})
    EXPECT_EQ(to_string_view(*parse_tls_mode(name)), name);
  EXPECT_NE(parse_tls_mode("yes").error().message.find("opportunistic"), std::string::npos);
}

} // namespace
} // namespace hedwig::queue
