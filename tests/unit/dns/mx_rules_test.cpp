// SPDX-License-Identifier: Apache-2.0
#include "runtime/dns/mx_rules.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace hedwig::dns {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::vector<std::string> us{"relay.example.test"};

std::uint64_t last_of(std::uint64_t bound) { return bound - 1; } // makes shuffling do nothing

mx_answer found(std::vector<mx_record> records) {
  return {.status = lookup_status::ok, .records = std::move(records), .ttl = std::chrono::seconds{60}, .why = {}};
}

mx_answer failed(lookup_status status) { return {.status = status, .records = {}, .why = {}}; }

std::vector<std::string> names(const route_result& route) {
  std::vector<std::string> out;
  if (!route)
    return {route.error().status};
  for (auto& host : route->hosts)
    out.push_back(host.name);
  return out;
}

route_result by_mx(const mx_answer& answer) { return route_by_mx("a.test", answer, us, last_of); }

TEST(route_by_mx, takes_hosts_in_the_order_of_preference) {
  EXPECT_THAT(names(by_mx(found({{30, "c.test"}, {10, "a.test"}, {20, "b.test"}}))),
              ElementsAre("a.test", "b.test", "c.test"));
}

TEST(route_by_mx, shuffles_equal_ones_evenly_and_no_others) {
  std::mt19937_64 random{5};
  std::map<std::string, int> first;
  for (int i = 0; i < 3000; ++i) {
    auto route = route_by_mx("a.test", found({{20, "last.test"}, {10, "a.test"}, {10, "b.test"}, {10, "c.test"}}), us,
                             [&](std::uint64_t bound) { return random() % bound; });
    ++first[route->hosts[0].name];
    ASSERT_EQ(route->hosts[3].name, "last.test");
    ASSERT_EQ(route->site, "a.test,b.test,c.test,last.test") << "whatever the order";
  }
  ASSERT_EQ(first.size(), 3u);
  for (auto& [name, count] : first)
    EXPECT_NEAR(count, 1000, 150) << name;
}

TEST(route_by_mx, without_mx_takes_the_domain_itself) {
  auto route = by_mx(failed(lookup_status::no_data));
  EXPECT_THAT(names(route), ElementsAre("a.test"));
  EXPECT_TRUE(route->implicit);
  EXPECT_EQ(route->site, "a.test");
  EXPECT_THAT(names(route_by_mx("Relay.Example.TEST", failed(lookup_status::no_data), us, last_of)),
              ElementsAre("5.4.6"));
}

TEST(route_by_mx, tells_permanent_from_temporary) {
  struct example {
    lookup_status status;
    bool permanent;
    const char* code;
  };
  using enum lookup_status;
  for (auto& [status, permanent, code] : {example{nxdomain, true, "5.1.2"},
                                          {null_mx, true, "5.1.10"},
                                          {invalid_name, true, "5.1.2"},
                                          {servfail, false, "4.4.3"},
                                          {timeout, false, "4.4.3"},
                                          {bogus, false, "4.4.3"},
                                          {overload, false, "4.4.3"}}) {
    auto route = by_mx(failed(status));
    ASSERT_FALSE(route);
    EXPECT_EQ(route.error().permanent, permanent);
    EXPECT_EQ(route.error().status, code);
    EXPECT_THAT(route.error().text, HasSubstr("a.test"));
  }
}

TEST(route_by_mx, a_single_root_target_is_a_null_mx) { // RFC 7505
  EXPECT_THAT(names(by_mx(found({{0, ""}}))), ElementsAre("5.1.10"));
  EXPECT_THAT(names(by_mx(found({{0, ""}, {10, "mx.test"}}))), ElementsAre("mx.test")) << "beside others it is garbage";
}

TEST(route_by_mx, skips_targets_that_are_no_host_names) {
  EXPECT_THAT(names(by_mx(found({{1, "192.0.2.1"},
                                 {2, "a b"},
                                 {3, "-"},
                                 {4, "ok.test"},
                                 {5, "::1"},
                                 {6, "x..y"},
                                 {7, std::string(64, 'x') + ".test"}}))),
              ElementsAre("-", "ok.test"));
  auto none = by_mx(found({{1, "192.0.2.1"}}));
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().status, "5.4.4");
  EXPECT_TRUE(none.error().permanent);
}

TEST(route_by_mx, names_a_host_once_at_its_best_preference) {
  auto route = by_mx(found({{30, "A.test."}, {20, "b.test"}, {10, "a.TEST"}}));
  EXPECT_THAT(names(route), ElementsAre("a.test", "b.test"));
}

TEST(route_by_mx, drops_ourselves_and_what_is_no_nearer) { // RFC 5321, section 5.1
  EXPECT_THAT(names(by_mx(found({{10, "a.test"}, {20, "relay.example.test"}, {20, "b.test"}, {30, "c.test"}}))),
              ElementsAre("a.test"));
}

TEST(route_by_mx, that_leads_back_to_us_is_a_loop) {
  auto route = by_mx(found({{10, "Relay.Example.test"}, {20, "b.test"}}));
  ASSERT_FALSE(route);
  EXPECT_EQ(route.error().status, "5.4.6");
  EXPECT_TRUE(route.error().permanent);
}

TEST(route_by_mx, keeps_the_best_of_too_many_hosts) {
  std::vector<mx_record> many;
  for (std::uint16_t i = 0; i < 60; ++i)
    many.push_back({static_cast<std::uint16_t>(100 - i), fmt::format("h{}.test", i)});
  auto route = by_mx(found(many));
  EXPECT_EQ(route->hosts.size(), mail_hosts_max);
  EXPECT_EQ(route->hosts[0].name, "h59.test");
}

TEST(route_by_mx, shows_no_control_characters_of_a_domain) {
  auto route = route_by_mx("a\r\nb", failed(lookup_status::nxdomain), us, last_of);
  EXPECT_EQ(route.error().text.find('\r'), std::string::npos);
}

TEST(route_by_mx, survives_whatever_an_answer_holds) {
  std::mt19937_64 random{9};
  for (int i = 0; i < 2000; ++i) {
    std::vector<mx_record> records(random() % 70);
    for (auto& record : records) {
      record.preference = static_cast<std::uint16_t>(random() % 4);
      for (auto size = random() % 12; size > 0; --size)
        record.host.push_back("ab.-_1 \0\n"[random() % 9]);
    }
    auto route = route_by_mx("a.test", found(records), us, [&](std::uint64_t bound) { return random() % bound; });
    if (route) {
      ASSERT_FALSE(route->hosts.empty());
      ASSERT_LE(route->hosts.size(), mail_hosts_max);
      std::set<std::string> seen;
      for (auto& host : route->hosts)
        ASSERT_TRUE(seen.insert(host.name).second && (route->implicit || is_host_name(host.name)));
    }
  }
}

TEST(route_by_literal, takes_both_forms) { // RFC 5321, section 4.1.3
  auto v4 = route_by_literal("[192.0.2.1]");
  ASSERT_TRUE(v4);
  EXPECT_EQ(v4->hosts[0].literal, ip_address::parse("192.0.2.1"));
  auto v6 = route_by_literal("[IPv6:2001:DB8::1]");
  ASSERT_TRUE(v6);
  EXPECT_EQ(v6->hosts[0].name, "2001:db8::1");
  EXPECT_EQ(v6->site, "[2001:db8::1]");
}

TEST(route_by_literal, refuses_the_rest) {
  for (auto bad : {"[]", "[x]", "[2001:db8::1]", "[IPv6:192.0.2.1]", "192.0.2.1", "[192.0.2.1", "[192.0.2.1]x"})
    EXPECT_THAT(names(route_by_literal(bad)), ElementsAre("5.1.3")) << bad;
}

TEST(usable_addresses, leaves_out_what_the_policy_forbids) {
  address_answer answer{.status = lookup_status::ok,
                        .addresses = {*ip_address::parse("127.0.0.1"), *ip_address::parse("8.8.8.8")},
                        .why = {}};
  auto usable = usable_addresses("mx.test", answer, {});
  ASSERT_TRUE(usable);
  EXPECT_THAT(*usable, ElementsAre(*ip_address::parse("8.8.8.8")));
  answer.addresses.pop_back();
  auto none = usable_addresses("mx.test", answer, {});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().status, "5.4.4");
  EXPECT_THAT(none.error().text, HasSubstr("127.0.0.1 is a loopback address"));
  EXPECT_TRUE(usable_addresses("mx.test", answer, {.allow_loopback = true}));
}

TEST(address_failure, is_permanent_only_where_the_dns_says_there_is_nothing) {
  auto of = [](lookup_status status) {
    return address_failure("mx.test", {.status = status, .addresses = {}, .why = {}});
  };
  EXPECT_TRUE(of(lookup_status::nxdomain)->permanent);
  EXPECT_TRUE(of(lookup_status::no_data)->permanent);
  EXPECT_FALSE(of(lookup_status::servfail)->permanent);
  EXPECT_FALSE(of(lookup_status::timeout)->permanent);
  EXPECT_TRUE(of(lookup_status::ok)->permanent) << "ok without an address";
}

TEST(is_host_name, takes_what_dns_and_smtp_take) {
  for (auto good : {"a", "mx1.example.com", "xn--bcher-kva.example", "_x.test", "1a.2b.c3", "3com.example"})
    EXPECT_TRUE(is_host_name(good)) << good;
  for (auto bad : {"", ".", "a.", ".a", "a..b", "192.0.2.1", "a b", "a\n", "b\xc3\xbc.test", "[x]", "1", "a:b"})
    EXPECT_FALSE(is_host_name(bad)) << bad;
  EXPECT_FALSE(is_host_name(std::string(254, 'a')));
}

} // namespace
} // namespace hedwig::dns
