// SPDX-License-Identifier: Apache-2.0
#include "runtime/net/proxy_header.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace hedwig::net {

namespace {

using proxy_parsed = std::expected<std::optional<proxy_header>, std::string_view>;
using origin = proxy_header::origin;

constexpr std::string_view v1_start = "PROXY ";
constexpr std::string_view v2_start{"\r\n\r\n\0\r\nQUIT\n", 12};
constexpr std::size_t v2_fixed = 16;

// TLV types of version 2, section 2.2.
constexpr std::uint8_t tlv_crc32c = 0x03;
constexpr std::size_t tlv_head = 3;

std::uint8_t octet_at(std::string_view bytes, std::size_t at) noexcept { return static_cast<std::uint8_t>(bytes[at]); }
std::uint16_t big_endian_16(std::string_view bytes, std::size_t at) noexcept {
  return static_cast<std::uint16_t>(octet_at(bytes, at) << 8 | octet_at(bytes, at + 1));
}

/// Castagnoli's polynomial, reflected (RFC 3720, appendix B.4).
constexpr std::array<std::uint32_t, 256> make_crc32c_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    auto value = i;
    for (int bit = 0; bit < 8; ++bit)
      value = (value & 1) != 0 ? value >> 1 ^ 0x82F63B78u : value >> 1;
    table[i] = value;
  }
  return table;
}
constexpr auto crc32c_table = make_crc32c_table();

std::uint32_t crc32c(std::uint32_t sum, std::string_view bytes) noexcept {
  for (char c : bytes)
    sum = crc32c_table[(sum ^ static_cast<std::uint8_t>(c)) & 0xff] ^ sum >> 8;
  return sum;
}

// ---- version 1: "PROXY TCP4 192.0.2.1 192.0.2.2 56324 25\r\n"

/// Takes the word up to the next space, or all, off the front.
std::string_view take_word(std::string_view& line) noexcept {
  auto end = line.find(' ');
  auto word = line.substr(0, end);
  line.remove_prefix(end == line.npos ? line.size() : end + 1);
  return word;
}

std::optional<std::uint16_t> proxy_port(std::string_view text) {
  std::uint16_t port = 0;
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), port);
  bool plain = failed == std::errc{} && end == text.data() + text.size() && (text.size() == 1 || text.front() != '0');
  return plain ? std::optional{port} : std::nullopt;
}

std::optional<address> proxy_address(std::string_view text, bool six) {
  auto with_colon = text.find(':') != text.npos;
  auto parsed = address::parse_ip(text);
  return parsed && with_colon == six ? std::optional{*parsed} : std::nullopt;
}

proxy_parsed parse_v1(std::string_view bytes) {
  auto end = bytes.substr(0, proxy_v1_octets_max).find("\r\n");
  if (end == bytes.npos) {
    if (bytes.size() >= proxy_v1_octets_max)
      return std::unexpected{"line too long"};
    return std::nullopt;
  }
  proxy_header made{.version = 1, .from = origin::unknown, .source = {}, .destination = {}, .size = end + 2};
  auto line = bytes.substr(v1_start.size(), end - v1_start.size());
  auto family = take_word(line);
  if (family == "UNKNOWN")
    return made; // whatever else stands there
  if (family != "TCP4" && family != "TCP6")
    return std::unexpected{"unknown family"};
  auto six = family == "TCP6";
  auto source = proxy_address(take_word(line), six);
  auto destination = proxy_address(take_word(line), six);
  auto source_port = proxy_port(take_word(line));
  auto destination_port = proxy_port(line); // with nothing behind it
  if (!source || !destination)
    return std::unexpected{"bad address"};
  if (!source_port || !destination_port)
    return std::unexpected{"bad port"};
  made.from = origin::client;
  made.source = source->with_port(*source_port);
  made.destination = destination->with_port(*destination_port);
  return made;
}

// ---- version 2

std::optional<std::string_view> fault_of_tlvs(std::string_view header, std::size_t at) {
  while (at < header.size()) {
    if (header.size() - at < tlv_head || header.size() - at - tlv_head < big_endian_16(header, at + 1))
      return "TLV past the end";
    auto size = big_endian_16(header, at + 1);
    auto value = at + tlv_head;
    if (octet_at(header, at) == tlv_crc32c) {
      if (size != 4)
        return "bad CRC32C";
      std::uint32_t told =
          static_cast<std::uint32_t>(big_endian_16(header, value)) << 16 | big_endian_16(header, value + 2);
      auto sum = crc32c(0xFFFFFFFFu, header.substr(0, value));
      sum = crc32c(sum, std::string_view{"\0\0\0\0", 4});
      if (~crc32c(sum, header.substr(value + 4)) != told)
        return "wrong CRC32C";
      return {}; // what lies behind it was summed up, and a second one would make that quadratic
    }
    at = value + size;
  }
  return {};
}

template <std::size_t Size>
std::array<std::uint8_t, Size> octets(std::string_view bytes, std::size_t at) {
  std::array<std::uint8_t, Size> out{};
  std::transform(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                 bytes.begin() + static_cast<std::ptrdiff_t>(at + Size), out.begin(),
                 [](char c) { return static_cast<std::uint8_t>(c); });
  return out;
}

/// What its fixed part says is wrong; nothing: the rest decides.
std::optional<std::string_view> fault_of_start(std::string_view bytes) {
  auto command = octet_at(bytes, 12);
  if (command >> 4 != 2)
    return "unknown version";
  if ((command & 0xf) > 1)
    return "unknown command";
  auto family = octet_at(bytes, 13);
  if ((command & 0xf) == 1 && (family >> 4 > 3 || (family & 0xf) > 2))
    return "unknown family";
  if (v2_fixed + big_endian_16(bytes, 14) > proxy_v2_octets_max)
    return "header too long";
  return {};
}

proxy_parsed parse_v2(std::string_view bytes) {
  if (bytes.size() < v2_fixed)
    return std::nullopt;
  if (auto fault = fault_of_start(bytes))
    return std::unexpected{*fault};
  auto size = v2_fixed + big_endian_16(bytes, 14);
  if (bytes.size() < size)
    return std::nullopt;
  auto header = bytes.substr(0, size);
  proxy_header made{.version = 2, .from = origin::unknown, .source = {}, .destination = {}, .size = size};
  if ((octet_at(header, 12) & 0xf) == 0) {
    made.from = origin::local; // the family is to be ignored, and all that follows
    return made;
  }
  auto family = octet_at(header, 13);
  if (family != 0x11 && family != 0x21)
    return made;
  auto of_addresses = family == 0x11 ? std::size_t{12} : std::size_t{36};
  if (size - v2_fixed < of_addresses)
    return std::unexpected{"addresses cut off"};
  if (auto fault = fault_of_tlvs(header, v2_fixed + of_addresses))
    return std::unexpected{*fault};
  made.from = origin::client;
  auto ports = v2_fixed + of_addresses - 4;
  auto source_port = big_endian_16(header, ports);
  auto destination_port = big_endian_16(header, ports + 2);
  if (family == 0x11) {
    made.source = address::v4(octets<4>(header, v2_fixed), source_port);
    made.destination = address::v4(octets<4>(header, v2_fixed + 4), destination_port);
  } else {
    made.source = address::v6(octets<16>(header, v2_fixed), source_port);
    made.destination = address::v6(octets<16>(header, v2_fixed + 16), destination_port);
  }
  return made;
}

} // namespace

std::expected<std::optional<proxy_header>, std::string_view> parse_proxy_header(std::string_view bytes) {
  auto begins = [&](std::string_view start) { return bytes.substr(0, start.size()) == start.substr(0, bytes.size()); };
  if (begins(v2_start))
    return bytes.size() < v2_start.size() ? proxy_parsed{std::nullopt} : parse_v2(bytes);
  if (begins(v1_start))
    return bytes.size() < v1_start.size() ? proxy_parsed{std::nullopt} : parse_v1(bytes);
  return std::unexpected{"no header"};
}

} // namespace hedwig::net
