// SPDX-License-Identifier: Apache-2.0
#include "runtime/net/proxy_header.hpp"

#include <gtest/gtest.h>

#include <string>

using namespace std::string_literals;

namespace hedwig::net {
namespace {

using origin = proxy_header::origin;

const std::string v2_signature = "\r\n\r\n\0\r\nQUIT\n"s;

std::string two_octets(std::size_t value) { return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)}; }
std::string v2(char command, char family, const std::string& body) {
  return v2_signature + command + family + two_octets(body.size()) + body;
}
std::string tlv(char type, const std::string& value) { return type + two_octets(value.size()) + value; }

const std::string addresses_v4 =
    "\xC6\x33\x64\x07\xC0\x00\x02\x19\xDC\x04\x00\x19"s; // 198.51.100.7:56324, 192.0.2.25:25

/// Bit by bit, so that it shares nothing with the table under test.
std::string crc32c_of(const std::string& bytes) {
  std::uint32_t sum = 0xFFFFFFFFu;
  for (char c : bytes) {
    sum ^= static_cast<std::uint8_t>(c);
    for (int i = 0; i < 8; ++i)
      sum = (sum >> 1) ^ ((sum & 1) != 0 ? 0x82F63B78u : 0u);
  }
  sum = ~sum;
  return two_octets(sum >> 16) + two_octets(sum & 0xffff);
}

proxy_header parsed(const std::string& bytes) {
  auto got = parse_proxy_header(bytes);
  EXPECT_TRUE(got) << (got ? "" : std::string{got.error()});
  EXPECT_TRUE(got && *got) << "more is wanted";
  return got && *got ? **got : proxy_header{};
}

std::string fault(const std::string& bytes) {
  auto got = parse_proxy_header(bytes);
  return got ? *got ? "accepted" : "more" : std::string{got.error()};
}

/// Of each shorter beginning more is wanted, and of the whole nothing.
void expect_whole_only(const std::string& header) {
  for (std::size_t size = 0; size < header.size(); ++size)
    EXPECT_EQ(fault(header.substr(0, size)), "more") << "of " << size << " octets";
  EXPECT_EQ(parsed(header + "EHLO x\r\n").size, header.size());
}

TEST(proxy_header_v1, tells_the_addresses_of_tcp4) {
  auto header = "PROXY TCP4 198.51.100.7 192.0.2.25 56324 25\r\n"s;
  auto got = parsed(header);
  EXPECT_EQ(got.version, 1);
  EXPECT_EQ(got.from, origin::client);
  EXPECT_EQ(got.source.text(), "198.51.100.7:56324");
  EXPECT_EQ(got.destination.text(), "192.0.2.25:25");
  expect_whole_only(header);
}

TEST(proxy_header_v1, tells_the_addresses_of_tcp6) {
  auto got = parsed("PROXY TCP6 2001:db8::7 2001:db8::19 65535 0\r\n");
  EXPECT_EQ(got.source.text(), "[2001:db8::7]:65535");
  EXPECT_EQ(got.destination.text(), "[2001:db8::19]:0");
}

TEST(proxy_header_v1, takes_the_longest_line_there_can_be_and_no_longer_one) {
  auto longest =
      "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"s;
  ASSERT_EQ(longest.size(), proxy_v1_octets_max);
  expect_whole_only(longest);
  EXPECT_EQ(fault("PROXY UNKNOWN " + std::string(200, 'x') + "\r\n"), "line too long");
  EXPECT_EQ(fault("PROXY UNKNOWN " + std::string(proxy_v1_octets_max - 14, 'x')), "line too long");
}

TEST(proxy_header_v1, ignores_what_unknown_says) {
  EXPECT_EQ(parsed("PROXY UNKNOWN\r\n").from, origin::unknown);
  EXPECT_EQ(parsed("PROXY UNKNOWN 198.51.100.7 192.0.2.25 1 2\r\n").from, origin::unknown);
}

TEST(proxy_header_v1, refuses_what_is_not_exactly_as_it_should_be) {
  EXPECT_EQ(fault("PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n"), "unknown family");
  EXPECT_EQ(fault("PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n"), "unknown family");
  EXPECT_EQ(fault("PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n"), "unknown family");
  EXPECT_EQ(fault("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"), "bad port");
  EXPECT_EQ(fault("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n"), "bad port");
  EXPECT_EQ(fault("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n"), "bad port");
  EXPECT_EQ(fault("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n"), "bad port");
  EXPECT_EQ(fault("PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n"), "bad port");
  EXPECT_EQ(fault("PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n"), "bad port");
  EXPECT_EQ(fault("PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n"), "bad address");
  EXPECT_EQ(fault("PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n"), "bad address");
  EXPECT_EQ(fault("PROXY TCP4 ::1 ::1 1 2\r\n"), "bad address");
  EXPECT_EQ(fault("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n"), "bad address");
  EXPECT_EQ(fault("PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n"), "bad address");
  EXPECT_EQ(fault("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n" + std::string(100, ' ')), "line too long");
  EXPECT_EQ(fault("EHLO client.example\r\n"), "no header");
  EXPECT_EQ(fault("proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n"), "no header");
  EXPECT_EQ(fault("\x16\x03\x01"s), "no header");
}

TEST(proxy_header_v2, tells_the_addresses_of_tcp4) {
  auto header = v2('\x21', '\x11', addresses_v4);
  auto got = parsed(header);
  EXPECT_EQ(got.version, 2);
  EXPECT_EQ(got.from, origin::client);
  EXPECT_EQ(got.source.text(), "198.51.100.7:56324");
  EXPECT_EQ(got.destination.text(), "192.0.2.25:25");
  expect_whole_only(header);
}

TEST(proxy_header_v2, tells_the_addresses_of_tcp6) {
  auto one = "\x20\x01\x0d\xb8"s + std::string(11, '\0') + "\x07";
  auto two = "\x20\x01\x0d\xb8"s + std::string(11, '\0') + "\x19";
  auto got = parsed(v2('\x21', '\x21', one + two + "\xDC\x04\x00\x19"s));
  EXPECT_EQ(got.source.text(), "[2001:db8::7]:56324");
  EXPECT_EQ(got.destination.text(), "[2001:db8::19]:25");
}

TEST(proxy_header_v2, takes_a_mapped_address_for_the_ipv4_one_it_stands_for) {
  auto mapped = std::string(10, '\0') + "\xff\xff\xC6\x33\x64\x07"s;
  EXPECT_EQ(parsed(v2('\x21', '\x21', mapped + mapped + "\x00\x01\x00\x02"s)).source.text(), "198.51.100.7:1");
}

TEST(proxy_header_v2, skips_tlvs_and_checks_a_crc32c) {
  EXPECT_EQ(parsed(v2('\x21', '\x11', addresses_v4 + tlv('\x04', "pad") + tlv('\x20', std::string(300, 'x')))).from,
            origin::client);
  auto blank =
      v2('\x21', '\x11', addresses_v4 + tlv('\x02', "mail.example") + tlv('\x03', "\0\0\0\0"s) + tlv('\x04', "z"));
  auto at = blank.size() - 4 - 4; // in front of the TLV that pads
  auto right = blank;
  right.replace(at, 4, crc32c_of(blank));
  expect_whole_only(right);
  for (std::size_t i = 16; i < right.size(); ++i) {
    if (i == at - 3)
      continue; // the type of that TLV: without it there is no sum to check
    auto spoilt = right;
    spoilt[i] = static_cast<char>(spoilt[i] ^ 0x10);
    EXPECT_NE(fault(spoilt), "accepted") << "octet " << i;
  }
  EXPECT_EQ(fault(v2('\x21', '\x11', addresses_v4 + tlv('\x03', "abc"))), "bad CRC32C");
}

TEST(proxy_header_v2, uses_the_connection_itself_for_local_and_says_so_of_unknown_families) {
  EXPECT_EQ(parsed(v2('\x20', '\0', "")).from, origin::local);
  EXPECT_EQ(parsed(v2('\x20', '\x11', addresses_v4)).from, origin::local);
  EXPECT_EQ(parsed(v2('\x20', '\x77', "anything")).from, origin::local);
  for (char family : {'\x00', '\x01', '\x10', '\x12', '\x22', '\x31', '\x32'})
    EXPECT_EQ(parsed(v2('\x21', family, std::string(216, 'x'))).from, origin::unknown) << int{family};
}

TEST(proxy_header_v2, refuses_what_is_not_exactly_as_it_should_be) {
  EXPECT_EQ(fault(v2('\x11', '\x11', addresses_v4)), "unknown version");
  EXPECT_EQ(fault(v2('\x31', '\x11', addresses_v4)), "unknown version");
  EXPECT_EQ(fault(v2('\x22', '\x11', addresses_v4)), "unknown command");
  EXPECT_EQ(fault(v2('\x21', '\x41', addresses_v4)), "unknown family");
  EXPECT_EQ(fault(v2('\x21', '\x13', addresses_v4)), "unknown family");
  EXPECT_EQ(fault(v2('\x21', '\x11', addresses_v4.substr(1))), "addresses cut off");
  EXPECT_EQ(fault(v2('\x21', '\x21', addresses_v4)), "addresses cut off");
  EXPECT_EQ(fault(v2('\x21', '\x11', addresses_v4 + "\x04")), "TLV past the end");
  EXPECT_EQ(fault(v2('\x21', '\x11', addresses_v4 + "\x04\x00\x02x"s)), "TLV past the end");
  EXPECT_EQ(fault(v2_signature.substr(0, 11) + "x"), "no header");
}

TEST(proxy_header_v2, is_refused_at_its_sixteenth_octet_when_it_says_that_it_is_too_long) {
  auto announced = v2_signature + "\x21\x11"s;
  EXPECT_EQ(fault(announced + two_octets(proxy_v2_octets_max - 16)), "more");
  EXPECT_EQ(fault(announced + two_octets(proxy_v2_octets_max - 15)), "header too long");
  EXPECT_EQ(fault(announced + "\xff\xff"s), "header too long");
  auto padding = proxy_v2_octets_max - 16 - addresses_v4.size() - 3;
  EXPECT_EQ(parsed(v2('\x21', '\x11', addresses_v4 + tlv('\x04', std::string(padding, 'p')))).size,
            proxy_v2_octets_max);
}

} // namespace
} // namespace hedwig::net
