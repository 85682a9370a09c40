// SPDX-License-Identifier: Apache-2.0
#include "runtime/net/address.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace hedwig::net {

namespace {

constexpr std::string_view how_to_write = "write an IP address and a port, such as \"127.0.0.1:25\" or \"[::1]:25\"";
constexpr std::string_view how_to_write_ip = "write an IP address, such as \"127.0.0.1\" or \"::1\"";
constexpr std::size_t shown_max = 64;

/// The text in quotes, cut short and with nothing a terminal would act on.
std::string shown(std::string_view text) {
  std::string out = "\"";
  for (char c : text.substr(0, shown_max))
    out += c >= 0x20 && c < 0x7f && c != '"' && c != '\\' ? c : '?';
  return out += text.size() > shown_max ? "...\"" : "\"";
}

std::unexpected<error> wrong(std::string_view text, std::string_view what, std::string_view advice) {
  return std::unexpected{error{HEDWIG_E_CONFIG, fmt::format("{} {}: {}", shown(text), what, advice), {}, 0}};
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (status != std::errc{} || end != text.data() + text.size() || text.size() > 5)
    return std::nullopt;
  return port;
}

std::optional<address> parse_host(std::string_view host, std::uint16_t port) {
  char text[INET6_ADDRSTRLEN] = {};
  if (host.empty() || host.size() >= sizeof text)
    return std::nullopt;
  std::memcpy(text, host.data(), host.size());
  std::array<std::uint8_t, 4> four{};
  if (::inet_pton(AF_INET, text, four.data()) == 1)
    return address::v4(four, port);
  std::array<std::uint8_t, 16> sixteen{};
  if (::inet_pton(AF_INET6, text, sixteen.data()) == 1)
    return address::v6(sixteen, port);
  return std::nullopt;
}

bool is_mapped(const std::array<std::uint8_t, 16>& bytes) noexcept {
  constexpr std::array<std::uint8_t, 12> prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::equal(prefix.begin(), prefix.end(), bytes.begin());
}

/// The first `prefix` bits are equal.
bool same_bits(const std::array<std::uint8_t, 16>& left, const std::array<std::uint8_t, 16>& right,
               int prefix) noexcept {
  auto whole = static_cast<std::size_t>(prefix / 8);
  if (!std::equal(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(whole), right.begin()))
    return false;
  auto mask = static_cast<std::uint8_t>(0xff00u >> (prefix % 8));
  return mask == 0 || (left[whole] & mask) == (right[whole] & mask);
}

std::array<std::uint8_t, 16> masked(std::array<std::uint8_t, 16> bytes, int prefix) noexcept {
  for (int i = 0; i < 16; ++i) {
    auto bits = std::clamp(prefix - 8 * i, 0, 8);
    bytes[static_cast<std::size_t>(i)] &= static_cast<std::uint8_t>(0xff00u >> bits);
  }
  return bytes;
}

address from_bytes(address::family_type family, const std::array<std::uint8_t, 16>& bytes) noexcept {
  if (family == address::family_type::v6)
    return address::v6(bytes, 0);
  return address::v4({bytes[0], bytes[1], bytes[2], bytes[3]}, 0);
}

} // namespace

address address::v4(std::array<std::uint8_t, 4> bytes, std::uint16_t port) noexcept {
  address made;
  std::copy(bytes.begin(), bytes.end(), made.bytes_.begin());
  made.port_ = port;
  return made;
}

address address::v6(std::array<std::uint8_t, 16> bytes, std::uint16_t port, std::uint32_t scope) noexcept {
  if (is_mapped(bytes))
    return v4({bytes[12], bytes[13], bytes[14], bytes[15]}, port);
  address made;
  made.family_ = family_type::v6;
  made.bytes_ = bytes;
  made.scope_ = scope;
  made.port_ = port;
  return made;
}

result<address> address::parse(std::string_view text, std::optional<std::uint16_t> default_port) {
  auto host = text;
  std::optional<std::string_view> port_text;
  bool bracketed = text.starts_with('[');
  if (bracketed) {
    auto end = text.find(']');
    if (end == std::string_view::npos)
      return wrong(text, "lacks a \"]\"", how_to_write);
    host = text.substr(1, end - 1);
    auto rest = text.substr(end + 1);
    if (!rest.empty() && rest[0] != ':')
      return wrong(text, "has something other than a port behind \"]\"", how_to_write);
    if (!rest.empty())
      port_text = rest.substr(1);
  } else if (std::count(text.begin(), text.end(), ':') == 1) {
    host = text.substr(0, text.find(':'));
    port_text = text.substr(text.find(':') + 1);
  }
  if (!port_text && !default_port)
    return wrong(text, "has no port", how_to_write);
  auto port = port_text ? parse_port(*port_text) : default_port;
  if (!port)
    return wrong(text, "has no valid port", "write one from 0 to 65535 behind the colon");
  auto made = parse_host(host, *port);
  if (!made || (bracketed && host.find(':') == std::string_view::npos))
    return wrong(text, "is not an IP address", how_to_write);
  return *made;
}

result<address> address::parse_ip(std::string_view text, std::uint16_t port) {
  if (auto made = parse_host(text, port))
    return *made;
  return wrong(text, "is not an IP address", how_to_write_ip);
}

std::optional<address> address::from_sockaddr(const sockaddr* raw, socklen_t size) noexcept {
  if (raw == nullptr || size < sizeof(sa_family_t))
    return std::nullopt;
  if (raw->sa_family == AF_INET && size >= sizeof(sockaddr_in)) {
    sockaddr_in in;
    std::memcpy(&in, raw, sizeof in);
    std::array<std::uint8_t, 4> bytes;
    std::memcpy(bytes.data(), &in.sin_addr, bytes.size());
    return v4(bytes, ntohs(in.sin_port));
  }
  if (raw->sa_family == AF_INET6 && size >= sizeof(sockaddr_in6)) {
    sockaddr_in6 in;
    std::memcpy(&in, raw, sizeof in);
    std::array<std::uint8_t, 16> bytes;
    std::memcpy(bytes.data(), &in.sin6_addr, bytes.size());
    return v6(bytes, ntohs(in.sin6_port), in.sin6_scope_id);
  }
  return std::nullopt;
}

socklen_t address::to_sockaddr(sockaddr_storage& out) const noexcept {
  std::memset(&out, 0, sizeof out);
  if (is_v4()) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port_);
    std::memcpy(&in.sin_addr, bytes_.data(), 4);
    std::memcpy(&out, &in, sizeof in);
    return sizeof in;
  }
  sockaddr_in6 in{};
  in.sin6_family = AF_INET6;
  in.sin6_port = htons(port_);
  in.sin6_scope_id = scope_;
  std::memcpy(&in.sin6_addr, bytes_.data(), 16);
  std::memcpy(&out, &in, sizeof in);
  return sizeof in;
}

std::string address::ip_text() const {
  char text[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(is_v4() ? AF_INET : AF_INET6, bytes_.data(), text, sizeof text);
  return text;
}

std::string address::text() const {
  return is_v4() ? fmt::format("{}:{}", ip_text(), port_) : fmt::format("[{}]:{}", ip_text(), port_);
}

address address::with_port(std::uint16_t port) const noexcept {
  auto made = *this;
  made.port_ = port;
  return made;
}

bool address::is_loopback() const noexcept {
  if (is_v4())
    return bytes_[0] == 127;
  std::array<std::uint8_t, 16> one{};
  one[15] = 1;
  return bytes_ == one;
}

bool address::is_private() const noexcept {
  auto a = bytes_[0], b = bytes_[1];
  if (is_v6())
    return (a & 0xfe) == 0xfc || (a == 0xfe && (b & 0xc0) == 0x80);
  return a == 10 || (a == 172 && (b & 0xf0) == 16) || (a == 192 && b == 168) || (a == 100 && (b & 0xc0) == 64) ||
         (a == 169 && b == 254);
}

bool address::is_unspecified() const noexcept { return bytes_ == std::array<std::uint8_t, 16>{}; }

bool address::is_multicast() const noexcept {
  if (is_v6())
    return bytes_[0] == 0xff;
  return (bytes_[0] & 0xf0) == 0xe0 || (bytes_[0] == 255 && bytes_[1] == 255 && bytes_[2] == 255 && bytes_[3] == 255);
}

result<network> network::parse(std::string_view text) {
  constexpr std::string_view advice = "write a network, such as \"127.0.0.0/8\" or \"2001:db8::/32\"";
  auto slash = text.find('/');
  auto base = parse_host(text.substr(0, slash), 0);
  if (!base)
    return wrong(text, "is not a network", advice);
  network made;
  int longest = base->is_v4() ? 32 : 128;
  made.prefix_ = longest;
  if (slash != std::string_view::npos) {
    auto prefix = parse_port(text.substr(slash + 1));
    if (!prefix || *prefix > longest)
      return wrong(text, "has no valid prefix length", fmt::format("write one from 0 to {} behind the slash", longest));
    made.prefix_ = *prefix;
  }
  made.base_ = from_bytes(base->family(), masked(base->bytes(), made.prefix_));
  if (made.base_ != *base)
    return wrong(text, "has bits behind its prefix", fmt::format("write \"{}\"", made.text()));
  return made;
}

bool network::contains(const address& host) const noexcept {
  return host.family() == base_.family() && same_bits(base_.bytes(), host.bytes(), prefix_);
}

std::string network::text() const { return fmt::format("{}/{}", base_.ip_text(), prefix_); }

} // namespace hedwig::net
