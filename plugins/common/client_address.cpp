// SPDX-License-Identifier: Apache-2.0
#include "client_address.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace hedwig::client_networks {

namespace {

constexpr std::array<std::uint8_t, 12> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF}; // RFC 4291, section 2.5.5.2

} // namespace

std::optional<client_address> client_address::parse(std::string_view text) {
  client_address out;
  char copy[INET6_ADDRSTRLEN];
  if (text.size() >= sizeof copy)
    return std::nullopt;
  copy[text.copy(copy, sizeof copy - 1)] = '\0';
  if (inet_pton(AF_INET6, copy, out.octets_.data()) == 1)
    return out;
  std::ranges::copy(mapped, out.octets_.begin());
  if (inet_pton(AF_INET, copy, out.octets_.data() + mapped.size()) == 1)
    return out;
  return std::nullopt;
}

bool client_address::is_ipv4() const noexcept { return std::equal(mapped.begin(), mapped.end(), octets_.begin()); }

std::string client_address::site() const { return {octets_.begin(), octets_.begin() + (is_ipv4() ? 16 : 8)}; }

std::optional<network> network::parse(std::string_view text) {
  auto slash = text.find('/');
  auto base = client_address::parse(text.substr(0, slash));
  if (!base)
    return std::nullopt;
  network out;
  out.base_ = *base;
  if (slash == std::string_view::npos)
    return out;
  auto bits = text.substr(slash + 1);
  auto [end, fault] = std::from_chars(bits.data(), bits.data() + bits.size(), out.bits_);
  auto ipv4 = text.find(':') == std::string_view::npos;
  if (fault != std::errc{} || end != bits.data() + bits.size() || out.bits_ > (ipv4 ? 32U : 128U))
    return std::nullopt;
  out.bits_ += ipv4 ? 96 : 0;
  return out;
}

bool network::contains(const client_address& address) const noexcept {
  auto whole = bits_ / 8;
  if (std::memcmp(base_.octets().data(), address.octets().data(), whole) != 0)
    return false;
  auto rest = bits_ % 8;
  if (rest == 0)
    return true;
  auto mask = static_cast<std::uint8_t>(0xFF << (8 - rest));
  return ((base_.octets()[whole] ^ address.octets()[whole]) & mask) == 0;
}

} // namespace hedwig::client_networks
