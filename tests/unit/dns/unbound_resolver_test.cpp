// SPDX-License-Identifier: Apache-2.0
#include "runtime/dns/mx_rules.hpp"
#include "runtime/dns/unbound_resolver.hpp"
#include "tests/unit/dns/name_server.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

namespace hedwig::dns {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::UnorderedElementsAre;

constexpr std::string_view zone = R"(
two MX 20 mx2.two
two MX 10 MX1.two
mx1.two A 192.0.2.1
mx1.two AAAA 2001:db8::1
mx2.two A 192.0.2.2
nomx A 192.0.2.3
nullmx MX 0 .
six AAAA 2001:db8::6
alias CNAME two
target MX 10 cname-host
cname-host CNAME mx1.two
empty TXT "nothing for mail"
brief 1 MX 10 mx1.two
policy TXT "v=spf1 " "-all"
policy TXT "other"
1.2.0.192.rev PTR Mail.Example.test.
)";

class manual_clock final : public clock {
public:
  wall_time wall() const noexcept override { return wall_time{}; }
  steady_time steady() const noexcept override { return now; }
  steady_time now{1h};
};

struct a_resolver : testing::Test {
  static void SetUpTestSuite() {
    std::string many;
    for (int i = 0; i < 100; ++i)
      many += fmt::format("many MX {} h{}.many\n", i, i);
    for (int i = 0; i < 500; ++i)
      many += fmt::format("d{} MX 10 mx.d{}\nmx.d{} A 192.0.2.9\n", i, i, i);
    server = std::make_unique<name_server>(std::string{zone} + many);
  }
  static void TearDownTestSuite() { server.reset(); }

  a_resolver() {
    settings.servers = {server->address()};
    settings.query_timeout = 20s;
  }
  unbound_resolver& dns() {
    if (!made) {
      auto result = unbound_resolver::make(settings, time);
      made = result ? std::move(*result) : throw std::runtime_error{result.error().text()};
    }
    return *made;
  }
  mx_answer mx(std::string_view domain) {
    std::promise<mx_answer> answer;
    dns().mx(domain, [&](mx_answer got) { answer.set_value(std::move(got)); });
    return answer.get_future().get();
  }
  address_answer addresses(std::string_view host) {
    std::promise<address_answer> answer;
    dns().addresses(host, [&](address_answer got) { answer.set_value(std::move(got)); });
    return answer.get_future().get();
  }
  record_answer records(std::string_view name, record_type type) {
    std::promise<record_answer> answer;
    dns().records(name, type, [&](record_answer got) { answer.set_value(std::move(got)); });
    return answer.get_future().get();
  }
  std::vector<std::string> address_texts(std::string_view host) {
    std::vector<std::string> out;
    for (auto& address : addresses(host).addresses)
      out.push_back(address.text());
    return out;
  }

  static inline std::unique_ptr<name_server> server;
  resolver_settings settings;
  manual_clock time;
  std::unique_ptr<unbound_resolver> made;
};

TEST_F(a_resolver, finds_mx_records_with_their_ttl) {
  auto answer = mx("Two.Example.TEST.");
  ASSERT_EQ(answer.status, lookup_status::ok) << answer.why;
  EXPECT_THAT(answer.records,
              UnorderedElementsAre(mx_record{20, "mx2.two.example.test"}, mx_record{10, "mx1.two.example.test"}));
  EXPECT_GT(answer.ttl, 290s);
  EXPECT_LE(answer.ttl, 300s);
  EXPECT_FALSE(answer.secure);
}

TEST_F(a_resolver, tells_no_domain_from_no_mx_and_from_a_null_mx) {
  EXPECT_EQ(mx("missing.example.test").status, lookup_status::nxdomain);
  EXPECT_EQ(mx("nomx.example.test").status, lookup_status::no_data);
  EXPECT_EQ(mx("nullmx.example.test").status, lookup_status::null_mx);
  EXPECT_EQ(mx("empty.example.test").status, lookup_status::no_data);
}

TEST_F(a_resolver, finds_a_failing_server_to_be_temporary) {
  auto answer = mx("broken.test");
  EXPECT_EQ(answer.status, lookup_status::servfail);
  EXPECT_TRUE(is_temporary(answer.status));
  EXPECT_EQ(answer.why, "SERVFAIL");
  EXPECT_EQ(addresses("broken.test").status, lookup_status::servfail);
}

TEST_F(a_resolver, follows_aliases_of_domains_and_of_mail_hosts) {
  EXPECT_EQ(mx("alias.example.test").records.size(), 2u);
  EXPECT_THAT(mx("target.example.test").records, ElementsAre(mx_record{10, "cname-host.example.test"}));
  EXPECT_THAT(address_texts("cname-host.example.test"), ElementsAre("2001:db8::1", "192.0.2.1"));
}

TEST_F(a_resolver, merges_both_families_in_the_order_wanted) {
  settings.order = address_order::ipv4_first;
  EXPECT_THAT(address_texts("mx1.two.example.test"), ElementsAre("192.0.2.1", "2001:db8::1"));
  EXPECT_THAT(address_texts("mx2.two.example.test"), ElementsAre("192.0.2.2"));
  EXPECT_THAT(address_texts("six.example.test"), ElementsAre("2001:db8::6"));
  EXPECT_EQ(addresses("empty.example.test").status, lookup_status::no_data);
  EXPECT_EQ(addresses("missing.example.test").status, lookup_status::nxdomain);
}

TEST_F(a_resolver, asks_for_one_family_alone_when_told_so) {
  settings.order = address_order::ipv4_only;
  EXPECT_THAT(address_texts("mx1.two.example.test"), ElementsAre("192.0.2.1"));
  EXPECT_EQ(addresses("six.example.test").status, lookup_status::no_data);
}

TEST_F(a_resolver, takes_an_address_for_its_own_answer) {
  EXPECT_THAT(address_texts("192.0.2.77"), ElementsAre("192.0.2.77"));
  EXPECT_EQ(dns().stats().queries, 0u);
}

TEST_F(a_resolver, finds_records_of_each_type_by_its_number) {
  EXPECT_THAT(records("MX1.two.example.test.", record_type::a).records,
              ElementsAre(dns_record{0, std::string{"\xC0\0\x02\x01", 4}}));
  EXPECT_EQ(records("mx1.two.example.test", record_type::aaaa).records.at(0).value.size(), 16u);
  EXPECT_THAT(records("policy.example.test", record_type::txt).records,
              UnorderedElementsAre(dns_record{0, "v=spf1 -all"}, dns_record{0, "other"}));
  EXPECT_THAT(records("target.example.test", record_type::mx).records,
              ElementsAre(dns_record{10, "cname-host.example.test"}));
  EXPECT_THAT(records("nullmx.example.test", record_type::mx).records, ElementsAre(dns_record{0, ""}));
  auto pointer = records("1.2.0.192.rev.example.test", record_type::ptr);
  EXPECT_THAT(pointer.records, ElementsAre(dns_record{0, "mail.example.test"}));
  EXPECT_GT(pointer.ttl, 290s);
}

TEST_F(a_resolver, tells_no_name_from_no_records_and_from_no_answer) {
  EXPECT_EQ(records("missing.example.test", record_type::a).status, lookup_status::nxdomain);
  EXPECT_EQ(records("mx1.two.example.test", record_type::txt).status, lookup_status::no_data);
  EXPECT_EQ(records("broken.test", record_type::a).status, lookup_status::servfail);
  EXPECT_EQ(records("a..b", record_type::a).status, lookup_status::invalid_name);
}

TEST_F(a_resolver, refuses_names_that_dns_cannot_carry_without_asking) {
  for (auto name : {"", ".", "a..b", "x y", "b\xc3\xbc.test"})
    EXPECT_EQ(mx(name).status, lookup_status::invalid_name) << name;
  EXPECT_EQ(addresses(std::string(300, 'a')).status, lookup_status::invalid_name);
  EXPECT_EQ(dns().stats().queries, 0u);
}

TEST_F(a_resolver, takes_a_bounded_number_of_records) {
  EXPECT_EQ(mx("many.example.test").records.size(), records_max) << "over TCP: 100 records do not fit a datagram";
}

TEST_F(a_resolver, answers_from_its_cache_until_the_ttl_ends) {
  (void)mx("brief.example.test");
  EXPECT_EQ(mx("brief.example.test").status, lookup_status::ok);
  EXPECT_EQ(dns().stats().mx_cache_hits, 1u);
  EXPECT_EQ(dns().stats().queries, 1u);
  time.now += 2s;
  EXPECT_EQ(mx("brief.example.test").status, lookup_status::ok);
  EXPECT_EQ(dns().stats().queries, 2u);
  dns().clear_cache();
  EXPECT_EQ(dns().stats().mx_cache_entries, 0u);
}

TEST_F(a_resolver, answers_every_one_of_many_askers_with_few_queries_at_a_time) {
  settings.outstanding_max = 8;
  std::atomic<int> good{0};
  std::promise<void> all;
  std::atomic<int> left{1000};
  auto count = [&](bool fine) {
    good += fine;
    if (--left == 0)
      all.set_value();
  };
  auto& asked = dns();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = t; i < 500; i += 4) {
        asked.mx(fmt::format("d{}.example.test", i), [&](mx_answer got) { count(got.status == lookup_status::ok); });
        asked.addresses(fmt::format("mx.d{}.example.test", i),
                        [&](address_answer got) { count(got.status == lookup_status::ok); });
      }
    });
  for (auto& one : threads)
    one.join();
  all.get_future().get();
  EXPECT_EQ(good, 1000);
  EXPECT_EQ(asked.stats().waiting, 0u);
}

TEST_F(a_resolver, may_be_asked_from_within_a_callback) {
  std::promise<address_answer> answer;
  dns().mx("two.example.test", [&](mx_answer got) {
    dns().addresses(got.records.at(0).host, [&](address_answer inner) { answer.set_value(std::move(inner)); });
  });
  EXPECT_EQ(answer.get_future().get().status, lookup_status::ok);
}

TEST_F(a_resolver, gives_up_on_a_silent_server_in_time_and_goes_on) {
  silent_server silent;
  settings.servers = {silent.address()};
  settings.query_timeout = 200ms;
  settings.outstanding_max = 1;
  auto answer = mx("two.example.test");
  EXPECT_EQ(answer.status, lookup_status::timeout);
  EXPECT_EQ(answer.why, "no answer within 0.2 s");
  EXPECT_EQ(addresses("two.example.test").status, lookup_status::timeout);
  EXPECT_EQ(dns().stats().timeouts, 3u);
  EXPECT_EQ(dns().stats().outstanding, 0u);
}

TEST_F(a_resolver, says_overload_when_too_many_wait) {
  silent_server silent;
  settings.servers = {silent.address()};
  settings.outstanding_max = 1;
  settings.waiting_max = 3;
  std::atomic<int> overloaded{0};
  for (int i = 0; i < 20; ++i)
    dns().mx(fmt::format("d{}.example.test", i),
             [&](mx_answer got) { overloaded += got.status == lookup_status::overload; });
  EXPECT_GE(overloaded, 20 - 4);
  EXPECT_LE(dns().stats().waiting, 3u);
  made.reset();
}

TEST_F(a_resolver, that_ends_calls_nobody_back) {
  silent_server silent;
  settings.servers = {silent.address()};
  auto alive = std::make_shared<int>(0);
  std::atomic<int> called{0};
  for (int i = 0; i < 50; ++i)
    dns().addresses(fmt::format("d{}.example.test", i), [&called, alive](address_answer) { ++called; });
  made.reset();
  EXPECT_EQ(called, 0);
  EXPECT_EQ(alive.use_count(), 1) << "callbacks are dropped";
}

TEST_F(a_resolver, and_the_rules_find_the_way) {
  std::vector<std::string> us{"relay.example.test"};
  auto first = [](std::uint64_t) { return std::uint64_t{0}; };
  auto route = route_by_mx("two.example.test", mx("two.example.test"), us, first);
  ASSERT_TRUE(route);
  EXPECT_EQ(route->hosts[0].name, "mx1.two.example.test");
  EXPECT_EQ(route->site, "mx1.two.example.test,mx2.two.example.test");
  EXPECT_EQ(route_by_mx("nullmx.example.test", mx("nullmx.example.test"), us, first).error().status, "5.1.10");
  auto implicit = route_by_mx("nomx.example.test", mx("nomx.example.test"), us, first);
  ASSERT_TRUE(implicit);
  EXPECT_THAT(address_texts(implicit->hosts[0].name), ElementsAre("192.0.2.3"));
}

} // namespace
} // namespace hedwig::dns
