// SPDX-License-Identifier: Apache-2.0
#include "runtime/dns/ip_address.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <arpa/inet.h>
#include <cstring>
#include <iterator>
#include <ranges>

namespace hedwig::dns {

namespace {

std::uint32_t number_of(std::span<const std::uint8_t> four) noexcept {
  return std::uint32_t{four[0]} << 24 | std::uint32_t{four[1]} << 16 | std::uint32_t{four[2]} << 8 | four[3];
}

struct v4_range {
  std::uint32_t network;
  int bits;
  address_class value;
};

// IANA's special-purpose registry, as far as it matters to a mail client.
constexpr v4_range v4_ranges[] = {
    {0x00000000, 8, address_class::unspecified},  {0x7f000000, 8, address_class::loopback},
    {0x0a000000, 8, address_class::private_use},  {0xac100000, 12, address_class::private_use},
    {0xc0a80000, 16, address_class::private_use}, {0x64400000, 10, address_class::private_use},
    {0xa9fe0000, 16, address_class::link_local},  {0xe0000000, 4, address_class::multicast},
    {0xf0000000, 4, address_class::reserved},     {0xc6120000, 15, address_class::reserved},
};

address_class classify_v4(std::uint32_t address) noexcept {
  for (auto& range : v4_ranges)
    if ((address ^ range.network) >> (32 - range.bits) == 0)
      return range.value;
  return address_class::global;
}

bool starts_with(std::span<const std::uint8_t> bytes, std::initializer_list<std::uint8_t> prefix) noexcept {
  return std::equal(prefix.begin(), prefix.end(), bytes.begin());
}

// ::ffff:a.b.c.d, ::a.b.c.d and 64:ff9b::a.b.c.d end up at an IPv4 host.
bool carries_v4(std::span<const std::uint8_t> bytes) noexcept {
  return starts_with(bytes, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}) ||
         starts_with(bytes, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}) ||
         starts_with(bytes, {0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0});
}

address_class classify_v6(std::span<const std::uint8_t> bytes) noexcept {
  if (starts_with(bytes, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}))
    return address_class::loopback;
  if (carries_v4(bytes))
    return classify_v4(number_of(bytes.subspan(12)));
  if (bytes[0] == 0xff)
    return address_class::multicast;
  if (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80)
    return address_class::link_local;
  if ((bytes[0] & 0xfe) == 0xfc || (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0xc0))
    return address_class::private_use;
  if (starts_with(bytes, {0x20, 0x02})) // 6to4
    return classify_v4(number_of(bytes.subspan(2)));
  if (starts_with(bytes, {0x01, 0x00, 0, 0, 0, 0, 0, 0}))
    return address_class::reserved;
  return address_class::global;
}

} // namespace

std::optional<ip_address> ip_address::parse(std::string_view text) {
  if (text.size() >= INET6_ADDRSTRLEN || text.find('\0') != std::string_view::npos)
    return std::nullopt;
  std::string terminated{text};
  ip_address out;
  out.v6_ = text.find(':') != std::string_view::npos;
  if (::inet_pton(out.v6_ ? AF_INET6 : AF_INET, terminated.c_str(), out.bytes_.data()) != 1)
    return std::nullopt;
  return out;
}

std::optional<ip_address> ip_address::from_bytes(std::string_view bytes) noexcept {
  if (bytes.size() != 4 && bytes.size() != 16)
    return std::nullopt;
  ip_address out;
  out.v6_ = bytes.size() == 16;
  std::memcpy(out.bytes_.data(), bytes.data(), bytes.size());
  return out;
}

std::string ip_address::text() const {
  char out[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(v6_ ? AF_INET6 : AF_INET, bytes_.data(), out, sizeof out);
  return out;
}

std::string reverse_name(const ip_address& address) {
  std::string out;
  for (auto byte : address.bytes() | std::views::reverse)
    if (address.v6())
      fmt::format_to(std::back_inserter(out), "{:x}.{:x}.", byte & 0xF, byte >> 4);
    else
      fmt::format_to(std::back_inserter(out), "{}.", byte);
  return out + (address.v6() ? "ip6.arpa" : "in-addr.arpa");
}

address_class classify(const ip_address& address) noexcept {
  return address.v6() ? classify_v6(address.bytes()) : classify_v4(number_of(address.bytes()));
}

std::string_view to_string_view(address_class value) noexcept {
  switch (value) {
  case address_class::global:
    return "global";
  case address_class::unspecified:
    return "unspecified";
  case address_class::loopback:
    return "loopback";
  case address_class::private_use:
    return "private";
  case address_class::link_local:
    return "link-local";
  case address_class::multicast:
    return "multicast";
  case address_class::reserved:
    return "reserved";
  }
  return "reserved";
}

std::optional<std::string> refusal(const ip_address& address, const address_policy& policy) {
  auto kind = classify(address);
  bool allowed = kind == address_class::global || (kind == address_class::loopback && policy.allow_loopback) ||
                 ((kind == address_class::private_use || kind == address_class::link_local) && policy.allow_private);
  if (allowed)
    return std::nullopt;
  return fmt::format("{} is a {} address", address.text(), to_string_view(kind));
}

} // namespace hedwig::dns
