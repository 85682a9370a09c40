// SPDX-License-Identifier: Apache-2.0
// Addresses and networks.
#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "runtime/config/values.hpp"

namespace hedwig::config {
namespace {

struct ip_bytes {
  std::array<std::uint8_t, 16> bytes{};
  std::uint8_t size = 0; // 0: no address
};

constexpr std::array<std::uint8_t, 12> mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

ip_bytes unmapped(ip_bytes ip) noexcept {
  if (ip.size != 16 || std::memcmp(ip.bytes.data(), mapped_prefix.data(), mapped_prefix.size()) != 0)
    return ip;
  ip_bytes out;
  out.size = 4;
  std::copy_n(ip.bytes.begin() + 12, 4, out.bytes.begin());
  return out;
}

ip_bytes parse_ip(std::string_view text) noexcept {
  ip_bytes out;
  char terminated[64];
  if (text.size() >= sizeof terminated || text.find('\0') != text.npos)
    return out;
  std::memcpy(terminated, text.data(), text.size());
  terminated[text.size()] = '\0';
  if (::inet_pton(AF_INET, terminated, out.bytes.data()) == 1)
    out.size = 4;
  else if (::inet_pton(AF_INET6, terminated, out.bytes.data()) == 1)
    out.size = 16;
  return out;
}

std::string ip_text(const std::array<std::uint8_t, 16>& bytes, std::uint8_t size) {
  char text[INET6_ADDRSTRLEN] = "";
  ::inet_ntop(size == 4 ? AF_INET : AF_INET6, bytes.data(), text, sizeof text);
  return text;
}

bool in_prefix(const network& net, const ip_bytes& ip) noexcept {
  if (ip.size != net.size)
    return false;
  const std::size_t whole = net.prefix / 8;
  if (!std::equal(ip.bytes.begin(), ip.bytes.begin() + static_cast<std::ptrdiff_t>(whole), net.address.begin()))
    return false;
  const unsigned rest = net.prefix % 8u;
  return rest == 0 || ((ip.bytes[whole] ^ net.address[whole]) >> (8 - rest)) == 0;
}

std::array<std::uint8_t, 16> masked(const network& net) noexcept {
  auto out = net.address;
  for (std::size_t bit = net.prefix; bit < net.size * 8u; ++bit)
    out[bit / 8] &= static_cast<std::uint8_t>(~(0x80u >> (bit % 8)));
  return out;
}

std::optional<unsigned> parse_number(std::string_view text, unsigned max) {
  unsigned number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || failed != std::errc{} || end != text.data() + text.size() || number > max)
    return {};
  return number;
}

struct host_and_port {
  std::string_view host;
  std::optional<std::string_view> port;
  bool bracketed = false;
};

std::optional<host_and_port> split(std::string_view text) {
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == text.npos)
      return {};
    const auto rest = text.substr(close + 1);
    if (!rest.empty() && !rest.starts_with(':'))
      return {};
    return host_and_port{text.substr(1, close - 1), rest.empty() ? std::nullopt : std::optional{rest.substr(1)}, true};
  }
  const auto colon = text.find(':');
  if (colon == text.npos)
    return host_and_port{text, {}, false};
  if (text.find(':', colon + 1) != text.npos)
    return host_and_port{text, {}, false}; // an IPv6 address without brackets and port
  return host_and_port{text.substr(0, colon), text.substr(colon + 1), false};
}

} // namespace

bool network::contains(std::span<const std::uint8_t> ip) const noexcept {
  if (ip.size() != 4 && ip.size() != 16)
    return false;
  ip_bytes bytes;
  bytes.size = static_cast<std::uint8_t>(ip.size());
  std::copy(ip.begin(), ip.end(), bytes.bytes.begin());
  return in_prefix(*this, unmapped(bytes));
}

bool network::contains(std::string_view ip) const noexcept {
  const auto bytes = unmapped(parse_ip(ip));
  return bytes.size != 0 && in_prefix(*this, bytes);
}

std::string network::text() const { return fmt::format("{}/{}", ip_text(address, size), prefix); }

std::string endpoint::text() const {
  return host.find(':') == host.npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port);
}

parsed<network> parse_network(std::string_view text) {
  constexpr std::string_view hint = "write \"192.0.2.0/24\", \"2001:db8::/32\" or one address";
  const auto slash = text.find('/');
  const auto ip = parse_ip(text.substr(0, slash));
  if (ip.size == 0)
    return std::unexpected{fmt::format("is no network: {}", hint)};
  const unsigned width = ip.size * 8u;
  const auto prefix = slash == text.npos ? width : parse_number(text.substr(slash + 1), width);
  if (!prefix)
    return std::unexpected{fmt::format("has a bad prefix length: write a number from 0 to {} after the slash", width)};
  network out{ip.bytes, ip.size, static_cast<std::uint8_t>(*prefix)};
  if (const auto bits = masked(out); bits != out.address) {
    const network meant{bits, out.size, out.prefix};
    return std::unexpected{fmt::format("has bits past its prefix: write \"{}\"", meant.text())};
  }
  // What a dual-stack socket calls ::ffff:192.0.2.1 is 192.0.2.1.
  if (const auto plain = unmapped(ip); plain.size != ip.size && out.prefix >= 96)
    return network{plain.bytes, 4, static_cast<std::uint8_t>(out.prefix - 96)};
  return out;
}

parsed<endpoint> parse_bind_address(std::string_view text) {
  constexpr std::string_view hint = "write an IP address and a port, such as \"127.0.0.1:2525\" or \"[::]:25\"";
  const auto parts = split(text);
  if (!parts || parts->host.empty())
    return std::unexpected{fmt::format("is no address: {}", hint)};
  if (!parts->port)
    return std::unexpected{fmt::format("has no port: {}", hint)};
  const auto port = parse_number(*parts->port, 65535);
  if (!port)
    return std::unexpected{std::string{"has a bad port: write a number from 0 to 65535 after the colon"}};
  const auto ip = parse_ip(parts->host == "localhost" ? "127.0.0.1" : parts->host);
  if (ip.size == 0 || (ip.size == 16) != parts->bracketed)
    return std::unexpected{fmt::format("is no IP address: {}", hint)};
  return endpoint{ip_text(ip.bytes, ip.size), static_cast<std::uint16_t>(*port), true};
}

parsed<endpoint> parse_endpoint(std::string_view text, std::uint16_t default_port) {
  const auto parts = split(text);
  if (!parts || parts->host.empty())
    return std::unexpected{fmt::format("is no host: write \"host\", \"host:port\" or \"[address]:port\"")};
  const auto port = parts->port ? parse_number(*parts->port, 65535) : default_port;
  if (!port || *port == 0)
    return std::unexpected{std::string{"has a bad port: write a number from 1 to 65535 after the colon"}};
  if (const auto ip = parse_ip(parts->host); ip.size != 0)
    return endpoint{ip_text(ip.bytes, ip.size), static_cast<std::uint16_t>(*port), true};
  if (parts->bracketed)
    return std::unexpected{std::string{"has no IP address in its brackets: write \"[2001:db8::1]:25\""}};
  auto name = parse_hostname(parts->host);
  if (!name)
    return std::unexpected{std::move(name.error())};
  return endpoint{std::move(*name), static_cast<std::uint16_t>(*port), false};
}

} // namespace hedwig::config
