// SPDX-License-Identifier: Apache-2.0
#include "runtime/queue/route.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace hedwig::queue {

namespace {

std::string lower(std::string_view text) {
  std::string out{text};
  for (auto& c : out)
    if (c >= 'A' && c <= 'Z')
      c = static_cast<char>(c - 'A' + 'a');
  return out;
}

// Route patterns and next hops are an operator's; this only has to catch slips.
bool plausible_name(std::string_view name) {
  if (name.empty() || name.size() > 253 || name.front() == '.' || name.back() == '.' || name.find("..") != name.npos)
    return false;
  return std::ranges::all_of(name, [](char c) {
    auto byte = static_cast<unsigned char>(c);
    return byte > 0x20 && byte != 0x7f && std::string_view{"*@:/[]\"'(),;<>\\"}.find(c) == std::string_view::npos;
  });
}

bool plausible_v6(std::string_view text) {
  return text.size() >= 2 && text.size() <= 45 && std::ranges::count(text, ':') >= 2 &&
         text.find_first_not_of("0123456789abcdefABCDEF:.") == std::string_view::npos;
}

error config_error(std::string message) { return {HEDWIG_E_CONFIG, std::move(message), {}}; }

result<std::uint16_t> parse_port(std::string_view text) {
  unsigned port = 0;
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (failed != std::errc{} || end != text.data() + text.size() || port == 0 || port > 65535)
    return std::unexpected{config_error(fmt::format("\"{}\" is not a port: write 1 to 65535", text))};
  return static_cast<std::uint16_t>(port);
}

constexpr std::string_view next_hop_forms = "write \"host\", \"host:port\", \"192.0.2.1:25\" or \"[2001:db8::1]:25\"";

struct hop_parts {
  std::string_view host;
  std::string_view port; // with the colon, or empty
  bool v6 = false;
};

hop_parts split(std::string_view text) {
  if (text.starts_with('[')) {
    auto close = text.find(']');
    if (close == std::string_view::npos)
      return {};
    return {text.substr(1, close - 1), text.substr(close + 1), true};
  }
  if (std::ranges::count(text, ':') > 1)
    return {text, {}, true};
  auto colon = std::min(text.find(':'), text.size());
  return {text.substr(0, colon), text.substr(colon), false};
}

} // namespace

std::string_view to_string_view(tls_mode mode) noexcept {
  switch (mode) {
  case tls_mode::none:
    return "none";
  case tls_mode::opportunistic:
    return "opportunistic";
  case tls_mode::require:
    return "require";
  case tls_mode::verify:
    return "verify";
  }
  return "opportunistic";
}

result<tls_mode> parse_tls_mode(std::string_view text) {
  for (auto mode : {tls_mode::none, tls_mode::opportunistic, tls_mode::require, tls_mode::verify})
    if (to_string_view(mode) == text)
      return mode;
  return std::unexpected{
      config_error(fmt::format("\"{}\" is no TLS mode: write none, opportunistic, require or verify", text))};
}

std::string next_hop::text() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port);
}

result<next_hop> parse_next_hop(std::string_view text, std::uint16_t default_port) {
  auto parts = split(text);
  if (parts.v6 ? !plausible_v6(parts.host) : !plausible_name(parts.host))
    return std::unexpected{config_error(fmt::format("\"{}\" is no next hop: {}", text, next_hop_forms))};
  next_hop hop{lower(parts.host), default_port};
  if (parts.port.empty())
    return hop;
  if (!parts.port.starts_with(':'))
    return std::unexpected{config_error(fmt::format("\"{}\" is no next hop: {}", text, next_hop_forms))};
  auto port = parse_port(parts.port.substr(1));
  if (!port)
    return std::unexpected{std::move(port).error()};
  hop.port = *port;
  return hop;
}

result<route_table> route_table::make(std::vector<route> routes) {
  route_table table;
  for (std::size_t i = 0; i < routes.size(); ++i)
    for (auto& written : routes[i].domains) {
      auto pattern = lower(written);
      bool suffix = pattern.starts_with("*.");
      std::string_view name = std::string_view{pattern}.substr(suffix ? 2 : 0);
      if (pattern == "*")
        table.star_ = std::min(table.star_, i);
      else if (!plausible_name(name) && !(name.starts_with('[') && name.ends_with(']')))
        return std::unexpected{error{HEDWIG_E_CONFIG,
                                     fmt::format("\"{}\" is no domain pattern: write \"example.com\", "
                                                 "\"*.example.com\" or \"*\"",
                                                 written),
                                     fmt::format("routes[{}].domains", i)}};
      else
        (suffix ? table.suffixes_ : table.exact_).try_emplace(std::string{name}, i); // the first route stays
    }
  table.routes_ = std::move(routes);
  return table;
}

const route& route_table::find(std::string_view domain) const {
  static const route by_mx_route{};
  auto name = lower(domain);
  if (name.ends_with('.'))
    name.pop_back();
  auto best = star_;
  auto look = [&best](const index& in, std::string_view key) {
    if (auto found = in.find(key); found != in.end())
      best = std::min(best, found->second);
  };
  look(exact_, name);
  if (!suffixes_.empty() && name.size() <= 255) // what a peer names is bounded, so the look-ups are
    for (auto dot = name.find('.'); dot != std::string::npos; dot = name.find('.', dot + 1))
      look(suffixes_, std::string_view{name}.substr(dot + 1));
  return best < routes_.size() ? routes_[best] : by_mx_route;
}

} // namespace hedwig::queue
