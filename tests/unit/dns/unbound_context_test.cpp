// SPDX-License-Identifier: Apache-2.0
#include "runtime/dns/unbound_context.hpp"

#include <gtest/gtest.h>

#include <random>

namespace hedwig::dns {
namespace {

using namespace std::string_view_literals;

TEST(parse_mx, reads_preference_and_target) {
  auto record = parse_mx("\x01\x02\x02MX\x04Test\0"sv);
  ASSERT_TRUE(record);
  EXPECT_EQ(record->preference, 258);
  EXPECT_EQ(record->host, "mx.test");
  EXPECT_EQ(parse_mx("\0\0\0"sv)->host, "");
}

TEST(parse_mx, marks_bytes_that_no_host_name_holds) {
  EXPECT_EQ(parse_mx("\0\x0a\x03\x61.b\x01\n\0"sv)->host, "a?b.?");
}

TEST(parse_mx, refuses_broken_records) {
  for (auto bad :
       {""sv, "\0\0"sv, "\0\0\x01"sv, "\0\0\x05\x61\0"sv, "\0\0\xc0\x0c"sv, "\0\0\x01\x61\0x"sv, "\0\0\x01\x61"sv})
    EXPECT_FALSE(parse_mx(bad));
  std::mt19937 random{4};
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes(random() % 20, '\0');
    for (auto& c : bytes)
      c = static_cast<char>(random() % (i % 2 ? 256 : 6));
    if (auto record = parse_mx(bytes)) {
      EXPECT_LE(record->host.size(), bytes.size());
    }
  }
}

TEST(parse_record, reads_each_type) {
  EXPECT_EQ(parse_record(record_type::a, "\x7F\0\0\x02"sv)->value, "\x7F\0\0\x02"sv);
  EXPECT_EQ(parse_record(record_type::txt, "\x02"
                                           "ab"
                                           "\0\x01"
                                           "c"sv)
                ->value,
            "abc");
  EXPECT_EQ(parse_record(record_type::txt, ""sv)->value, "");
  EXPECT_EQ(parse_record(record_type::ptr, "\x02MX\x04Test\0"sv)->value, "mx.test");
  EXPECT_EQ(parse_record(record_type::mx, "\0\x0a\0"sv)->preference, 10);
}

TEST(parse_record, refuses_what_does_not_fill_its_record) {
  EXPECT_FALSE(parse_record(record_type::a, "\x7F\0\0"sv));
  EXPECT_FALSE(parse_record(record_type::aaaa, "\x7F\0\0\x02"sv));
  EXPECT_FALSE(parse_record(record_type::txt, "\x02"
                                              "a"sv));
  EXPECT_FALSE(parse_record(record_type::ptr, "\x02MX\x04Test"sv));
  EXPECT_FALSE(parse_record(record_type::ptr, "\x02MX\0x"sv));
  EXPECT_FALSE(parse_record(record_type::mx, "\0\x0a"sv));
}

TEST(make_context, names_the_server_it_cannot_use) {
  for (auto bad : {"", "x", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:99999", "[::1", "[::1]53", "ns.example.com",
                   "192.0.2.1:53x"}) {
    resolver_settings settings;
    settings.servers = {bad};
    auto context = make_context(settings);
    ASSERT_FALSE(context) << bad;
    EXPECT_EQ(context.error().status, HEDWIG_E_CONFIG);
    EXPECT_EQ(context.error().where, "dns.servers");
  }
}

TEST(make_context, takes_every_form_of_a_server) {
  for (auto good : {"127.0.0.1", "127.0.0.1:5353", "::1", "[::1]", "[::1]:5353", "192.0.2.1:53"}) {
    resolver_settings settings;
    settings.servers = {good};
    auto context = make_context(settings);
    EXPECT_TRUE(context) << good;
  }
}

TEST(make_context, says_that_the_trust_anchor_is_missing) {
  resolver_settings settings;
  settings.servers = {"127.0.0.1:5353"};
  settings.trust_anchor = "/nonexistent/root.key";
  auto context = make_context(settings);
  ASSERT_FALSE(context);
  EXPECT_EQ(context.error().where, "dns.trust_anchor");
}

} // namespace
} // namespace hedwig::dns
