// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <arpa/inet.h>

#include <algorithm>
#include <filesystem>

#include "runtime/config/check.hpp"
#include "runtime/telemetry/log.hpp"

namespace hedwig::config {
namespace {

using node_kind = node::kind;

/// What every check needs at hand.
struct context {
  const schema_key& key;
  place at;
  const std::string& folder;
  report& out;

  std::nullopt_t fail(std::string_view complaint) const {
    out.error(at, fmt::format("{} {}", display(key.path), complaint));
    return std::nullopt;
  }
  /// With the value that was read, unless it is a secret.
  std::nullopt_t fail(std::string_view got, std::string_view complaint) const {
    return fail(place_of(), got, complaint);
  }
  std::nullopt_t fail(place where, std::string_view got, std::string_view complaint) const {
    out.error(where, fmt::format("{} = {} {}", display(key.path), quoted(got), complaint));
    return std::nullopt;
  }
  place place_of() const { return at; }
};

std::string_view example_of(kind type) {
  switch (type) {
  case kind::boolean:
    return "true or false, without quotes";
  case kind::integer:
    return "a whole number, without quotes";
  case kind::real:
    return "a number such as 0.5, without quotes";
  case kind::time:
  case kind::time_or_off:
    return "a time in quotes, such as \"30s\", \"5m\" or \"5d\"";
  case kind::size:
    return "a number of bytes, or a size in quotes such as \"25MiB\"";
  case kind::bind_address:
    return "an address in quotes, such as \"127.0.0.1:2525\"";
  case kind::next_hops:
    return "a list of hosts, such as [\"mx.example.com:25\"]";
  case kind::dns_servers:
    return "a list of addresses, such as [\"127.0.0.1:53\"]";
  case kind::networks:
    return "a list of networks, such as [\"192.0.2.0/24\"]";
  case kind::patterns:
    return "a list of domains, such as [\"example.com\"]";
  case kind::paths:
    return "a list of folders, such as [\"/usr/lib/hedwig/plugins\"]";
  case kind::texts:
    return "a list of texts, such as [\"From\", \"Subject\"]";
  case kind::limits:
    return "a table such as {\"example.com\" = 60}";
  default:
    return "a text in quotes";
  }
}

std::nullopt_t wrong_type(const context& with, const node& from) {
  return with.fail(fmt::format("is {}: write {}", describe(from.type), example_of(with.key.type)));
}

bool has_range(const schema_key& key) { return key.minimum != 0 || key.maximum != 0; }

bool in_range(const schema_key& key, double number) {
  return !has_range(key) || (number >= key.minimum && number <= key.maximum);
}

std::string range_text(const schema_key& key) {
  const auto shown = [&](double number) {
    if (key.type == kind::time || key.type == kind::time_or_off)
      return fmt::format("\"{}\"", to_text(duration{static_cast<std::int64_t>(number * 1e9)}));
    return fmt::format("{}", number < 1e15 && number == static_cast<double>(static_cast<std::int64_t>(number))
                                 ? fmt::to_string(static_cast<std::int64_t>(number))
                                 : fmt::to_string(number));
  };
  return fmt::format("is out of range: write {} to {}", shown(key.minimum), shown(key.maximum));
}

std::optional<value> check_integer(const context& with, const node& from) {
  if (from.type != node_kind::integer)
    return wrong_type(with, from);
  if (!in_range(with.key, static_cast<double>(from.integer)))
    return with.fail(fmt::format("= {} {}", from.integer, range_text(with.key)));
  return value{from.integer};
}

std::optional<value> check_real(const context& with, const node& from) {
  if (from.type != node_kind::real && from.type != node_kind::integer)
    return wrong_type(with, from);
  const double number = from.type == node_kind::real ? from.real : static_cast<double>(from.integer);
  if (!(number == number) || !in_range(with.key, number)) // NaN is in no range
    return with.fail(fmt::format("= {} {}", number, range_text(with.key)));
  return value{number};
}

std::optional<value> check_size(const context& with, const node& from) {
  if (from.type == node_kind::integer)
    return from.integer < 0 ? with.fail("is negative: write a size such as \"25MiB\"") : check_integer(with, from);
  if (from.type != node_kind::string)
    return wrong_type(with, from);
  const auto size = parse_size(from.text);
  if (!size)
    return with.fail(from.text, size.error());
  if (!in_range(with.key, static_cast<double>(*size)))
    return with.fail(from.text, range_text(with.key));
  return value{static_cast<std::int64_t>(*size)};
}

std::optional<value> check_duration(const context& with, const node& from) {
  const bool may_be_off = with.key.type == kind::time_or_off;
  if (from.type == node_kind::integer)
    return with.fail(fmt::format("= {} has no unit: write \"{}s\"", from.integer, from.integer < 0 ? 0 : from.integer));
  if (from.type != node_kind::string)
    return wrong_type(with, from);
  if (may_be_off && from.text == "off")
    return value{std::optional<duration>{}};
  const auto time = parse_duration(from.text);
  if (!time)
    return with.fail(from.text, time.error());
  if (!in_range(with.key, static_cast<double>(time->count()) / 1e9))
    return with.fail(from.text, range_text(with.key));
  return may_be_off ? value{std::optional<duration>{*time}} : value{*time};
}

std::vector<std::string_view> split_choices(std::string_view text) {
  std::vector<std::string_view> out;
  for (;;) {
    const auto bar = text.find('|');
    out.push_back(text.substr(0, bar));
    if (bar == text.npos)
      return out;
    text.remove_prefix(bar + 1);
  }
}

std::optional<value> check_choice(const context& with, const node& from) {
  const auto choices = split_choices(with.key.choices);
  const auto found = std::find(choices.begin(), choices.end(), from.text);
  if (found != choices.end())
    return value{choice_index{static_cast<int>(found - choices.begin())}};
  if (const auto near = nearest_name(from.text, choices))
    return with.fail(from.text, fmt::format("is not known: did you mean \"{}\"?", *near));
  return with.fail(from.text, fmt::format("is not known: write one of {}", fmt::join(choices, ", ")));
}

std::string absolute(const std::string& folder, const std::string& text) {
  if (text.empty() || folder.empty())
    return text;
  return (std::filesystem::path{folder} / text).lexically_normal().string();
}

std::optional<value> check_ip(const context& with, const node& from) {
  char bytes[16];
  const int family = with.key.maximum == 4 ? AF_INET : AF_INET6;
  if (from.text.find('\0') == from.text.npos && ::inet_pton(family, from.text.c_str(), bytes) == 1)
    return value{from.text};
  return with.fail(from.text, family == AF_INET ? "is no IPv4 address: write one such as \"192.0.2.1\""
                                                : "is no IPv6 address: write one such as \"2001:db8::1\"");
}

std::optional<value> check_mode(const context& with, const node& from) {
  const auto& text = from.text;
  const bool octal = text.size() >= 3 && text.size() <= 4 &&
                     std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '7'; });
  if (!octal)
    return with.fail(text, "is no mode: write octal digits in quotes, such as \"0660\"");
  return value{static_cast<std::int64_t>(std::stoul(text, nullptr, 8))};
}

template <class Parsed>
std::optional<value> taken(const context& with, const node& from, Parsed parsed) {
  if (!parsed)
    return with.fail(from.text, parsed.error());
  return value{std::move(*parsed)};
}

std::optional<value> check_text(const context& with, const node& from) {
  if (from.text.empty() && with.key.has(not_empty))
    return with.fail("is empty: write a text");
  if (with.key.type != kind::secret && std::any_of(from.text.begin(), from.text.end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
      }))
    return with.fail(from.text, "holds a control character: leave it out");
  return value{from.text};
}

std::optional<value> check_string_kind(const context& with, const node& from) {
  switch (with.key.type) {
  case kind::choice:
    return check_choice(with, from);
  case kind::hostname:
    return taken(with, from, parse_hostname(from.text));
  case kind::ip_address:
    return check_ip(with, from);
  case kind::octal_mode:
    return check_mode(with, from);
  case kind::bind_address:
    return taken(with, from, parse_bind_address(from.text));
  case kind::log_filter:
    if (const auto filter = telemetry::parse_level_filter(from.text); !filter)
      return with.fail(from.text, "holds an " + filter.error().message);
    return value{from.text};
  case kind::path:
    if (auto text = check_text(with, from); !text)
      return text;
    if (from.text.empty() && with.key.has(required))
      return with.fail("is empty: write a path");
    return value{absolute(with.folder, from.text)};
  default:
    return check_text(with, from);
  }
}

parsed<endpoint> parse_dns_server(std::string_view text) {
  auto server = parse_endpoint(text, 53);
  if (server && !server->is_ip)
    return std::unexpected{std::string{"is no IP address: write \"127.0.0.1\" or \"127.0.0.1:5353\""}};
  return server;
}

parsed<std::string> parse_plain_text(std::string_view text) {
  if (text.empty() || std::any_of(text.begin(), text.end(), [](char c) { return c <= 0x20 || c == 0x7F || c == ':'; }))
    return std::unexpected{std::string{"is no name of a header field: write one such as \"Subject\""}};
  return std::string{text};
}

/// A list of strings, each read by `parse`; every bad item is reported at its own place.
template <class Parse>
std::optional<value> check_list(const context& with, const node& from, Parse parse) {
  std::vector<typename decltype(parse(std::string_view{}))::value_type> list;
  bool good = true;
  for (const auto& item : from.items) {
    if (item.type != node_kind::string) {
      with.out.error(item, fmt::format("{} holds {}: write {}", display(with.key.path), describe(item.type),
                                       example_of(with.key.type)));
      good = false;
    } else if (auto one = parse(std::string_view{item.text})) {
      list.push_back(std::move(*one));
    } else {
      (void)with.fail(item, item.text, one.error());
      good = false;
    }
  }
  if (good)
    return value{std::move(list)};
  return {};
}

std::optional<value> check_list_kind(const context& with, const node& from) {
  if (from.items.empty() && with.key.has(not_empty))
    return with.fail(fmt::format("is an empty list: write {}", example_of(with.key.type)));
  switch (with.key.type) {
  case kind::next_hops:
    return check_list(with, from, [](std::string_view text) { return parse_endpoint(text, 25); });
  case kind::dns_servers:
    return check_list(with, from, parse_dns_server);
  case kind::networks:
    return check_list(with, from, parse_network);
  case kind::patterns:
    return check_list(with, from, parse_domain_pattern);
  case kind::paths:
    return check_list(with, from, [&](std::string_view text) -> parsed<std::string> {
      if (text.empty() || text.find('\0') != text.npos)
        return std::unexpected{std::string{"is no folder: write a path"}};
      return absolute(with.folder, std::string{text});
    });
  default:
    return check_list(with, from, parse_plain_text);
  }
}

std::optional<value> check_limits(const context& with, const node& from) {
  std::map<std::string, std::uint64_t> limits;
  bool good = true;
  for (const auto& one : from.members) {
    const auto domain = parse_hostname(one.key);
    if (!domain)
      (void)with.fail(one, one.key, domain.error());
    const bool number =
        one.value.type == node_kind::integer && in_range(with.key, static_cast<double>(one.value.integer));
    if (!number)
      (void)with.fail(one.value, one.key,
                      "has no good limit: write a whole number of messages a minute, 0 for unlimited");
    good = good && domain && number;
    if (good)
      limits[*domain] = static_cast<std::uint64_t>(one.value.integer);
  }
  if (good)
    return value{std::move(limits)};
  return {};
}

} // namespace

std::optional<value> check_value(const schema_key& key, const node& from, place at, const std::string& folder,
                                 report& out) {
  const context with{key, at, folder, out};
  switch (key.type) {
  case kind::boolean:
    return from.type == node_kind::boolean ? std::optional{value{from.boolean}} : wrong_type(with, from);
  case kind::integer:
    return check_integer(with, from);
  case kind::real:
    return check_real(with, from);
  case kind::size:
    return check_size(with, from);
  case kind::time:
  case kind::time_or_off:
    return check_duration(with, from);
  case kind::next_hops:
  case kind::dns_servers:
  case kind::networks:
  case kind::patterns:
  case kind::paths:
  case kind::texts:
    return from.type == node_kind::array ? check_list_kind(with, from) : wrong_type(with, from);
  case kind::limits:
    return from.type == node_kind::table ? check_limits(with, from) : wrong_type(with, from);
  default:
    return from.type == node_kind::string ? check_string_kind(with, from) : wrong_type(with, from);
  }
}

} // namespace hedwig::config
