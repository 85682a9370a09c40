// SPDX-License-Identifier: Apache-2.0
#include "runtime/config/values.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

using namespace hedwig;
using namespace std::chrono_literals;
using testing::HasSubstr;

TEST(duration, is_read_as_people_write_it) {
  const std::pair<const char*, config::duration> good[] = {
      {"0", 0s},         {"0s", 0s},      {"250ms", 250ms},        {"30s", 30s}, {"5m", 5min}, {"1h30m", 90min},
      {"1h 30m", 90min}, {"2 hours", 2h}, {" 10 minutes ", 10min}, {"5d", 120h}, {"2w", 336h}};
  for (const auto& [text, wanted] : good) {
    ASSERT_TRUE(config::parse_duration(text)) << text;
    EXPECT_EQ(*config::parse_duration(text), wanted) << text;
  }
}

TEST(duration, is_refused_with_what_to_write) {
  EXPECT_EQ(config::parse_duration("5").error(), "has no unit: write \"5s\", or another unit of ms, s, m, h, d, w");
  EXPECT_THAT(config::parse_duration("1 fortnight").error(), HasSubstr("unknown unit \"fortnight\""));
  for (const char* text : {"", " ", "s", "-5s", "1.5h", "5s,", "0 5", "1h30", "1e3s", "99999999999999999999s", "5300w",
                           "60000d 60000d", "\n", "5\xc2\xb5s"})
    EXPECT_FALSE(config::parse_duration(text)) << text;
}

TEST(duration, is_written_so_that_it_reads_back) {
  for (const config::duration time : {config::duration{0s}, config::duration{90s}, config::duration{90061s},
                                      config::duration{250ms}, config::duration{1h + 1ms}, config::duration{336h}})
    EXPECT_EQ(config::parse_duration(config::to_text(time)), time) << config::to_text(time);
  EXPECT_EQ(config::to_text(config::duration{60s}), "1m");
  EXPECT_EQ(config::to_text(config::duration{120h}), "5d");
}

TEST(size, is_read_as_people_write_it) {
  const std::pair<const char*, std::uint64_t> good[] = {
      {"0", 0},           {"512", 512},       {"1KiB", 1024},       {"25MiB", 26214400},
      {"25 M", 26214400}, {"10MB", 10000000}, {"1GiB", 1073741824}, {"2T", 2199023255552}};
  for (const auto& [text, wanted] : good)
    EXPECT_EQ(config::parse_size(text), wanted) << text;
  for (const char* text : {"", "MiB", "-1", "1.5GiB", "1 parsec", "1KiBx", "99999999999999999999", "99999999T", "1 1"})
    EXPECT_FALSE(config::parse_size(text)) << text;
}

TEST(network, contains_what_its_prefix_says) {
  const auto net = *config::parse_network("10.1.0.0/20");
  EXPECT_TRUE(net.contains("10.1.15.255"));
  EXPECT_FALSE(net.contains("10.1.16.0"));
  EXPECT_TRUE(net.contains("::ffff:10.1.3.4"));
  EXPECT_FALSE(net.contains("nonsense"));
  EXPECT_FALSE(net.contains(""));
  const auto six = *config::parse_network("2001:db8:8000::/33");
  EXPECT_TRUE(six.contains("2001:db8:ffff::1"));
  EXPECT_FALSE(six.contains("2001:db8:7fff::1"));
  EXPECT_FALSE(six.contains("10.1.0.1"));
  EXPECT_TRUE(config::parse_network("0.0.0.0/0")->contains("255.255.255.255"));
  EXPECT_FALSE(config::parse_network("0.0.0.0/0")->contains("2001:db8::1"));
  EXPECT_FALSE(config::parse_network("::/0")->contains("192.0.2.1"));
  EXPECT_EQ(config::parse_network("192.0.2.1")->text(), "192.0.2.1/32");
  EXPECT_EQ(config::parse_network("::ffff:192.0.2.0/120")->text(), "192.0.2.0/24");
  EXPECT_TRUE(config::parse_network("::/0")->is_everyone());
  const std::uint8_t bytes[] = {10, 1, 2, 3};
  EXPECT_TRUE(net.contains(std::span<const std::uint8_t>{bytes}));
  EXPECT_FALSE(net.contains(std::span<const std::uint8_t>{bytes, 3}));
}

TEST(network, is_refused_with_what_to_write) {
  EXPECT_EQ(config::parse_network("192.0.2.7/24").error(), "has bits past its prefix: write \"192.0.2.0/24\"");
  for (const char* text : {"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x", "::/129", "10.0.0/8",
                           "010.0.0.1", "example.com", "10.0.0.0/8/8", "fe80::1%eth0"})
    EXPECT_FALSE(config::parse_network(text)) << text;
}

TEST(endpoint, reads_names_addresses_and_brackets) {
  EXPECT_EQ(*config::parse_endpoint("MX.Example.com.", 25), (config::endpoint{"mx.example.com", 25, false}));
  EXPECT_EQ(*config::parse_endpoint("mx.example.com:587", 25), (config::endpoint{"mx.example.com", 587, false}));
  EXPECT_EQ(*config::parse_endpoint("192.0.2.1", 25), (config::endpoint{"192.0.2.1", 25, true}));
  EXPECT_EQ(*config::parse_endpoint("[192.0.2.1]:26", 25), (config::endpoint{"192.0.2.1", 26, true}));
  EXPECT_EQ(config::parse_endpoint("[2001:DB8::1]:26", 25)->text(), "[2001:db8::1]:26");
  EXPECT_EQ(*config::parse_endpoint("2001:db8::1", 25), (config::endpoint{"2001:db8::1", 25, true}));
  for (const char* text : {"", ":", "[", "[]", "[::1", "[::1]x", "a:b", "a:65536", "a:0", "a b", "[a]:1"})
    EXPECT_FALSE(config::parse_endpoint(text, 25)) << text;
}

TEST(bind_address, wants_an_address_and_a_port) {
  EXPECT_EQ(config::parse_bind_address("localhost:0")->text(), "127.0.0.1:0");
  EXPECT_EQ(config::parse_bind_address("[::]:25")->text(), "[::]:25");
  for (const char* text : {"", "25", ":25", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "[127.0.0.1]:25", "::1:25",
                           "mail.example.com:25", "127.1:25"})
    EXPECT_FALSE(config::parse_bind_address(text)) << text;
}

TEST(hostname, is_a_dns_name_in_lower_case) {
  EXPECT_EQ(*config::parse_hostname("Mail_1.Example.COM."), "mail_1.example.com");
  const std::string label(63, 'a');
  EXPECT_TRUE(config::parse_hostname(label + "." + label + "." + label + "." + std::string(61, 'a')));
  for (const std::string& text :
       {std::string{}, std::string{"."}, std::string{"a..b"}, std::string{"-a.b"}, std::string{"a-.b"},
        std::string{"a b"}, std::string{"a\r\nb"}, std::string{"\xc3\xbc.example"}, label + "a",
        label + "." + label + "." + label + "." + std::string(62, 'a')})
    EXPECT_FALSE(config::parse_hostname(text)) << text;
}

TEST(domain_pattern, matches_exactly_below_or_everything) {
  EXPECT_TRUE(config::domain_matches("example.com", "Example.COM"));
  EXPECT_TRUE(config::domain_matches("example.com", "example.com."));
  EXPECT_FALSE(config::domain_matches("example.com", "a.example.com"));
  EXPECT_TRUE(config::domain_matches("*.example.com", "a.b.Example.com"));
  EXPECT_FALSE(config::domain_matches("*.example.com", "example.com"));
  EXPECT_FALSE(config::domain_matches("*.example.com", "badexample.com"));
  EXPECT_FALSE(config::domain_matches("*.example.com", ".example.com."));
  EXPECT_TRUE(config::domain_matches("*", "anything"));
  EXPECT_EQ(*config::parse_domain_pattern("*.Example.com"), "*.example.com");
  for (const char* text : {"", "**", "*.", "*example.com", "a.*.com", "*.*"})
    EXPECT_FALSE(config::parse_domain_pattern(text)) << text;
}

TEST(nearest_name, finds_what_was_meant_and_nothing_far) {
  constexpr std::string_view known[] = {"hostname", "helo_hostname", "max_retries", "dns"};
  EXPECT_EQ(config::nearest_name("hostnam", known), "hostname");
  EXPECT_EQ(config::nearest_name("hsotname", known), "hostname");
  EXPECT_EQ(config::nearest_name("max-retries", known), "max_retries");
  EXPECT_EQ(config::nearest_name("MAX_RETRIES", known), "max_retries");
  EXPECT_EQ(config::nearest_name("colour", known), std::nullopt);
  EXPECT_EQ(config::nearest_name("", known), std::nullopt);
  EXPECT_EQ(config::nearest_name(std::string(100000, 'x'), known), std::nullopt);
}

TEST(quoted, makes_any_value_printable) {
  EXPECT_EQ(config::quoted("a\"b\n\x1b"), "\"a\\\"b\\n\\u001b\"");
  EXPECT_EQ(config::quoted(std::string(100, 'x')), "\"" + std::string(60, 'x') + "…\"");
}

} // namespace
