// SPDX-License-Identifier: Apache-2.0
#include "runtime/net/address.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>

namespace hedwig::net {
namespace {

address ip(std::string_view text) {
  auto made = address::parse_ip(text);
  EXPECT_TRUE(made) << text;
  return made.value_or(address{});
}

TEST(address, text_and_back_is_the_same_value) {
  for (auto text :
       {"127.0.0.1:25", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:25", "[::]:2525", "[2001:db8::5]:587"}) {
    auto made = address::parse(text);
    ASSERT_TRUE(made) << text << ": " << made.error().text();
    EXPECT_EQ(made->text(), text);
    EXPECT_EQ(address::parse(made->text()), *made);
  }
}

TEST(address, a_default_port_fills_in_for_a_missing_one) {
  EXPECT_EQ(address::parse("10.0.0.1", 25)->text(), "10.0.0.1:25");
  EXPECT_EQ(address::parse("10.0.0.1:26", 25)->text(), "10.0.0.1:26");
  EXPECT_EQ(address::parse("2001:db8::1", 25)->text(), "[2001:db8::1]:25");
  EXPECT_EQ(address::parse("[2001:db8::1]", 25)->text(), "[2001:db8::1]:25");
}

TEST(address, a_mapped_address_is_the_ipv4_address_it_stands_for) {
  EXPECT_EQ(ip("::ffff:192.0.2.1"), ip("192.0.2.1"));
  EXPECT_EQ(address::parse("[::ffff:127.0.0.1]:25")->text(), "127.0.0.1:25");
  sockaddr_in6 raw{};
  raw.sin6_family = AF_INET6;
  raw.sin6_port = htons(25);
  raw.sin6_addr.s6_addr[10] = raw.sin6_addr.s6_addr[11] = 0xff;
  raw.sin6_addr.s6_addr[12] = 127;
  raw.sin6_addr.s6_addr[15] = 1;
  EXPECT_EQ(address::from_sockaddr(reinterpret_cast<sockaddr*>(&raw), sizeof raw)->text(), "127.0.0.1:25");
}

TEST(address, errors_say_what_to_write) {
  auto message = [](std::string_view text) { return address::parse(text).error().message; };
  auto advice = ": write an IP address and a port, such as \"127.0.0.1:25\" or \"[::1]:25\"";
  EXPECT_EQ(message("127.0.0.1"), std::string{"\"127.0.0.1\" has no port"} + advice);
  EXPECT_EQ(message("::1"), std::string{"\"::1\" has no port"} + advice);
  EXPECT_EQ(message("mail.example.com:25"), std::string{"\"mail.example.com:25\" is not an IP address"} + advice);
  EXPECT_EQ(message("127.0.0.1:65536"),
            "\"127.0.0.1:65536\" has no valid port: write one from 0 to 65535 behind the colon");
  EXPECT_EQ(message("127.0.0.1:\x1b[2J").find('\x1b'), std::string::npos);
  EXPECT_LT(message(std::string(10'000, 'x')).size(), 300u);
}

TEST(address, refuses_what_is_not_an_address) {
  for (auto text :
       {"", ":", ":25", "127.0.0.1:", "127.1:25", "127.0.0.1:+25", "127.0.0.1:25 ", " 127.0.0.1:25", "[::1", "[::1]25",
        "[::1]:", "[127.0.0.1]:25", "[]:25", "fe80::1%eth0", "0127.0.0.1:25", "127.0.0.1:000025", "1:2:3:25"})
    EXPECT_FALSE(address::parse(text)) << text;
}

TEST(address, survives_the_way_through_a_sockaddr) {
  for (auto text : {"127.0.0.1:25", "[2001:db8::5]:587"}) {
    sockaddr_storage raw;
    auto size = address::parse(text)->to_sockaddr(raw);
    EXPECT_EQ(address::from_sockaddr(reinterpret_cast<sockaddr*>(&raw), size)->text(), text);
  }
  sockaddr unix_socket{};
  unix_socket.sa_family = AF_UNIX;
  EXPECT_FALSE(address::from_sockaddr(&unix_socket, sizeof unix_socket));
  EXPECT_FALSE(address::from_sockaddr(nullptr, 0));
}

TEST(address, knows_special_ranges) {
  for (auto text : {"127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1"})
    EXPECT_TRUE(ip(text).is_loopback()) << text;
  for (auto text : {"128.0.0.1", "::2", "10.0.0.1"})
    EXPECT_FALSE(ip(text).is_loopback()) << text;
  for (auto text :
       {"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "169.254.1.1", "fd00::1", "fe80::1"})
    EXPECT_TRUE(ip(text).is_private()) << text;
  for (auto text : {"172.32.0.1", "192.169.1.1", "100.128.0.1", "8.8.8.8", "2001:db8::1", "fec0::1", "127.0.0.1"})
    EXPECT_FALSE(ip(text).is_private()) << text;
  EXPECT_TRUE(ip("0.0.0.0").is_unspecified());
  EXPECT_TRUE(ip("::").is_unspecified());
  EXPECT_FALSE(ip("::1").is_unspecified());
  for (auto text : {"224.0.0.1", "239.1.1.1", "255.255.255.255", "ff02::1"})
    EXPECT_TRUE(ip(text).is_multicast()) << text;
}

TEST(network, contains_the_addresses_of_its_range_only) {
  auto contains = [](std::string_view range, std::string_view host) {
    auto made = network::parse(range);
    EXPECT_TRUE(made) << range;
    return made && made->contains(ip(host));
  };
  EXPECT_TRUE(contains("127.0.0.0/8", "127.9.9.9"));
  EXPECT_FALSE(contains("127.0.0.0/8", "128.0.0.0"));
  EXPECT_TRUE(contains("127.0.0.0/8", "::ffff:127.0.0.1"));
  EXPECT_TRUE(contains("10.128.0.0/9", "10.255.0.1"));
  EXPECT_FALSE(contains("10.128.0.0/9", "10.127.0.1"));
  EXPECT_TRUE(contains("::1/128", "::1"));
  EXPECT_FALSE(contains("::1/128", "::2"));
  EXPECT_TRUE(contains("2001:db8::/33", "2001:db8:7fff::1"));
  EXPECT_FALSE(contains("2001:db8::/33", "2001:db8:8000::1"));
  EXPECT_TRUE(contains("0.0.0.0/0", "1.2.3.4"));
  EXPECT_FALSE(contains("0.0.0.0/0", "::1"));
  EXPECT_FALSE(contains("::/0", "1.2.3.4"));
  EXPECT_TRUE(contains("192.0.2.1", "192.0.2.1"));
  EXPECT_FALSE(contains("192.0.2.1", "192.0.2.2"));
}

TEST(network, errors_say_what_to_write) {
  EXPECT_EQ(network::parse("10.1.2.3/8").error().message,
            "\"10.1.2.3/8\" has bits behind its prefix: write \"10.0.0.0/8\"");
  EXPECT_EQ(network::parse("10.0.0.0/33").error().message,
            "\"10.0.0.0/33\" has no valid prefix length: write one from 0 to 32 behind the slash");
  for (auto text : {"", "/8", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8/8", "example.com/8", "::/129"})
    EXPECT_FALSE(network::parse(text)) << text;
}

TEST(network, text_is_its_canonical_form) {
  EXPECT_EQ(network::parse("127.0.0.0/8")->text(), "127.0.0.0/8");
  EXPECT_EQ(network::parse("2001:0db8::/32")->text(), "2001:db8::/32");
  EXPECT_EQ(network::parse("192.0.2.1")->text(), "192.0.2.1/32");
}

} // namespace
} // namespace hedwig::net
