// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "runtime/smtp/xclient.hpp"

namespace hedwig::smtp {
namespace {

xclient_attributes parsed(std::string_view text) {
  auto got = parse_xclient(text, true);
  EXPECT_TRUE(got) << text;
  return got ? *got : xclient_attributes{};
}

TEST(xclient, tells_of_a_client_what_it_names_and_leaves_the_rest_open) {
  auto got =
      parsed("NAME=spike.example.org ADDR=192.0.2.3 port=4711 PROTO=ESMTP HELO=spike LOGIN=ann DESTADDR=198.51.100.1 "
             "DESTPORT=25");
  EXPECT_EQ(got.name->text, "spike.example.org");
  EXPECT_EQ(got.addr->text, "192.0.2.3");
  EXPECT_EQ(got.port, 4711);
  EXPECT_EQ(got.extended, true);
  EXPECT_EQ(got.helo->text, "spike");
  EXPECT_EQ(got.login->text, "ann");
  EXPECT_EQ(got.destaddr->text, "198.51.100.1");
  EXPECT_EQ(got.destport, 25);
  auto one = parsed("  PROTO=smtp ");
  EXPECT_EQ(one.extended, false);
  EXPECT_FALSE(one.name || one.addr || one.port || one.helo || one.login || one.destaddr || one.destport);
}

TEST(xclient, knows_addresses_of_ipv6_by_their_prefix) {
  EXPECT_EQ(parsed("ADDR=IPV6:2001:db8::1").addr->text, "2001:db8::1");
  EXPECT_EQ(parsed("ADDR=ipv6:::1").addr->text, "::1");
  for (auto* wrong : {"ADDR=2001:db8::1", "ADDR=IPV6:192.0.2.1", "ADDR=IPV6:", "ADDR=192.0.2", "ADDR=192.0.2.256",
                      "ADDR=spike.example", "ADDR=192.0.2.1+00", "DESTADDR=x", "ADDR="})
    EXPECT_FALSE(parse_xclient(wrong, true)) << wrong;
}

TEST(xclient, says_what_is_unavailable) {
  auto got = parsed("NAME=[UNAVAILABLE] ADDR=[unavailable] PORT=[TEMPUNAVAIL] HELO=[UNAVAILABLE] LOGIN=[UNAVAILABLE]");
  EXPECT_FALSE(got.name->known || got.addr->known || got.helo->known || got.login->known);
  EXPECT_EQ(got.port, 0);
  EXPECT_FALSE(parse_xclient("PROTO=[UNAVAILABLE]", true));
}

TEST(xclient, decodes_xtext_and_lets_no_control_byte_through) {
  EXPECT_EQ(parsed("LOGIN=ann+3D1+2B2+20x").login->text, "ann=1+2 x");
  EXPECT_EQ(parsed("LOGIN=j+C3+BCrgen").login->text, "j\xC3\xBCrgen");
  for (auto* wrong : {"LOGIN=a+0D+0Ab", "LOGIN=a+00", "LOGIN=a+7F", "LOGIN=a+", "LOGIN=a+2", "LOGIN=a=b", "LOGIN=+FF",
                      "HELO=+1Bx", "HELO=a+20b", "NAME=a(b)"})
    EXPECT_FALSE(parse_xclient(wrong, true)) << wrong;
  EXPECT_TRUE(parse_xclient("LOGIN=" + std::string(xclient_octets_max, 'x'), true));
  EXPECT_FALSE(parse_xclient("LOGIN=" + std::string(xclient_octets_max + 1, 'x'), true));
}

TEST(xclient, refuses_what_it_does_not_know_and_what_stands_twice) {
  for (auto* wrong : {"", "   ", "ADDR", "FOO=bar", "=x", "ADDR=192.0.2.1 ADDR=192.0.2.2", "PORT=65536", "PORT=-1",
                      "PORT=x", "PORT=", "PROTO=LMTP", "NAME=", "NAME=a FOO=b"})
    EXPECT_FALSE(parse_xclient(wrong, true)) << wrong;
  EXPECT_FALSE(parse_xclient("LOGIN=ann", false)) << "where the listener does not allow it";
}

} // namespace
} // namespace hedwig::smtp
