// SPDX-License-Identifier: Apache-2.0
#include "runtime/dns/mx_cache.hpp"

#include <gtest/gtest.h>

namespace hedwig::dns {
namespace {

using namespace std::chrono_literals;

const steady_time start{1000s};

mx_answer answer(std::string host, std::chrono::seconds ttl) {
  return {.status = lookup_status::ok, .records = {{10, std::move(host)}}, .ttl = ttl, .why = {}};
}

TEST(mx_cache, gives_an_answer_until_its_ttl_ends) {
  mx_cache cache{10};
  cache.put("a.test", answer("mx", 60s), start);
  auto known = cache.find("a.test", start + 20s);
  ASSERT_TRUE(known);
  EXPECT_EQ(known->records[0].host, "mx");
  EXPECT_EQ(known->ttl, 40s);
  EXPECT_FALSE(cache.find("a.test", start + 60s));
  EXPECT_EQ(cache.size(), 0u);
}

TEST(mx_cache, keeps_permanent_failures_and_no_temporary_ones) {
  mx_cache cache{10};
  cache.put("none.test", {.status = lookup_status::nxdomain, .records = {}, .ttl = 60s, .why = {}}, start);
  cache.put("down.test", {.status = lookup_status::servfail, .records = {}, .ttl = 60s, .why = {}}, start);
  cache.put("zero.test", answer("mx", 0s), start);
  EXPECT_TRUE(cache.find("none.test", start));
  EXPECT_FALSE(cache.find("down.test", start));
  EXPECT_FALSE(cache.find("zero.test", start));
}

TEST(mx_cache, drops_the_one_asked_for_longest_ago_when_full) {
  mx_cache cache{2};
  cache.put("a", answer("a", 60s), start);
  cache.put("b", answer("b", 60s), start);
  EXPECT_TRUE(cache.find("a", start));
  cache.put("c", answer("c", 60s), start);
  EXPECT_TRUE(cache.find("a", start));
  EXPECT_FALSE(cache.find("b", start));
  EXPECT_EQ(cache.size(), 2u);
  cache.put("a", answer("new", 60s), start);
  EXPECT_EQ(cache.find("a", start)->records[0].host, "new");
  EXPECT_EQ(cache.size(), 2u);
  cache.clear();
  EXPECT_EQ(cache.size(), 0u);
}

TEST(mx_cache, of_no_entries_keeps_nothing) {
  mx_cache cache{0};
  cache.put("a", answer("a", 60s), start);
  EXPECT_FALSE(cache.find("a", start));
}

} // namespace
} // namespace hedwig::dns
