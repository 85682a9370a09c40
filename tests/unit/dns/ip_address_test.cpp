// SPDX-License-Identifier: Apache-2.0
#include "runtime/dns/ip_address.hpp"

#include <gtest/gtest.h>

namespace hedwig::dns {
namespace {

TEST(ip_address, is_read_and_written_in_both_families) {
  for (auto text : {"0.0.0.0", "192.0.2.1", "255.255.255.255", "::", "::1", "2001:db8::1", "::ffff:192.0.2.1"}) {
    auto address = ip_address::parse(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->text(), text);
    EXPECT_EQ(ip_address::from_bytes({reinterpret_cast<const char*>(address->bytes().data()), address->bytes().size()}),
              address);
  }
}

TEST(ip_address, refuses_what_is_none) {
  using namespace std::string_view_literals;
  for (auto text : {""sv, "192.0.2"sv, "192.0.2.256"sv, "1.2.3.4.5"sv, "[::1]"sv, "::1%eth0"sv, "192.0.2.1:25"sv, "x"sv,
                    "1.2.3.4\0x"sv, "0x7f.0.0.1"sv, "127.1"sv, "::g"sv})
    EXPECT_FALSE(ip_address::parse(text)) << text;
  EXPECT_FALSE(ip_address::parse(std::string(100'000, ':')));
  EXPECT_FALSE(ip_address::from_bytes("123"));
}

TEST(address_class, knows_the_special_ranges_at_their_edges) {
  struct example {
    const char* text;
    address_class value;
  };
  using enum address_class;
  for (auto& [text, value] : {example{"8.8.8.8", global},
                              {"0.1.2.3", unspecified},
                              {"127.255.255.255", loopback},
                              {"128.0.0.1", global},
                              {"10.1.2.3", private_use},
                              {"172.16.0.1", private_use},
                              {"172.32.0.1", global},
                              {"192.168.0.1", private_use},
                              {"192.169.0.1", global},
                              {"100.64.0.1", private_use},
                              {"100.128.0.1", global},
                              {"169.254.1.1", link_local},
                              {"224.0.0.1", multicast},
                              {"239.255.255.255", multicast},
                              {"240.0.0.1", reserved},
                              {"255.255.255.255", reserved},
                              {"198.18.0.1", reserved},
                              {"198.20.0.1", global},
                              {"::", unspecified},
                              {"::1", loopback},
                              {"2001:db8::1", global},
                              {"fe80::1", link_local},
                              {"fec0::1", private_use},
                              {"fd00::1", private_use},
                              {"ff02::1", multicast},
                              {"100::1", reserved},
                              {"::ffff:127.0.0.1", loopback},
                              {"::ffff:8.8.8.8", global},
                              {"::127.0.0.1", loopback},
                              {"64:ff9b::10.0.0.1", private_use},
                              {"2002:7f00:1::", loopback},
                              {"2600::1", global}})
    EXPECT_EQ(to_string_view(classify(*ip_address::parse(text))), to_string_view(value)) << text;
}

TEST(refusal, by_default_lets_only_global_addresses_pass_and_says_why) {
  EXPECT_FALSE(refusal(*ip_address::parse("8.8.8.8"), {}));
  EXPECT_EQ(refusal(*ip_address::parse("127.0.0.1"), {}), "127.0.0.1 is a loopback address");
  EXPECT_EQ(refusal(*ip_address::parse("::ffff:10.0.0.1"), {}), "::ffff:10.0.0.1 is a private address");
}

TEST(refusal, obeys_what_is_allowed_and_never_allows_multicast_or_nothing) {
  EXPECT_FALSE(refusal(*ip_address::parse("127.0.0.1"), {.allow_loopback = true}));
  EXPECT_TRUE(refusal(*ip_address::parse("10.0.0.1"), {.allow_loopback = true}));
  EXPECT_FALSE(refusal(*ip_address::parse("fe80::1"), {.allow_private = true}));
  address_policy all{true, true};
  for (auto text : {"0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255"})
    EXPECT_TRUE(refusal(*ip_address::parse(text), all)) << text;
}

TEST(reverse_name, is_where_pointers_stand) {
  EXPECT_EQ(reverse_name(*ip_address::parse("192.0.2.1")), "1.2.0.192.in-addr.arpa");
  EXPECT_EQ(reverse_name(*ip_address::parse("2001:db8::567")),
            "7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
}

} // namespace
} // namespace hedwig::dns
