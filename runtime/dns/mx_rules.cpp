// SPDX-License-Identifier: Apache-2.0
#include "runtime/dns/mx_rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace hedwig::dns {

namespace {

std::string lower(std::string_view text) {
  std::string out{text};
  for (auto& c : out)
    if (c >= 'A' && c <= 'Z')
      c = static_cast<char>(c - 'A' + 'a');
  if (out.ends_with('.'))
    out.pop_back();
  return out;
}

// Names come from peers and from the DNS and end up in replies and logs.
std::string shown(std::string_view name) {
  constexpr std::size_t shown_max = 255;
  std::string out;
  for (char c : name.substr(0, shown_max))
    out.push_back(c > 0x20 && c < 0x7f ? c : '?');
  return out;
}

no_route temporary(std::string_view domain, lookup_status status, std::string_view why) {
  auto reason = why.empty() ? to_string_view(status) : why;
  return {false, "4.4.3", fmt::format("The name servers of {} gave no answer: {}", shown(domain), reason)};
}

no_route failure_of(std::string_view domain, const mx_answer& answer) {
  switch (answer.status) {
  case lookup_status::nxdomain:
    return {true, "5.1.2", fmt::format("The domain {} does not exist", shown(domain))};
  case lookup_status::null_mx:
    return {true, "5.1.10", fmt::format("The domain {} takes no mail (null MX)", shown(domain))};
  case lookup_status::invalid_name:
    return {true, "5.1.2", fmt::format("{} is not a domain name", shown(domain))};
  default:
    return temporary(domain, answer.status, answer.why);
  }
}

// RFC 7505, section 3: a single record, preference 0 by custom, whose target is the root.
bool is_null_mx(const std::vector<mx_record>& records) {
  return records.size() == 1 && (records[0].host.empty() || records[0].host == ".");
}

void shuffle_equal(std::vector<mail_host>& hosts, const random_below& random) {
  for (auto first = hosts.begin(); first != hosts.end();) {
    auto last = std::find_if(first, hosts.end(), [&](auto& host) { return host.preference != first->preference; });
    for (auto left = last - first; left > 1; --left)
      std::swap(first[left - 1], first[static_cast<std::ptrdiff_t>(random(static_cast<std::uint64_t>(left)))]);
    first = last;
  }
}

// Usable targets, each once at its best preference, in order.
std::vector<mail_host> hosts_of(const std::vector<mx_record>& records) {
  std::vector<mail_host> hosts;
  for (auto& record : records) {
    auto name = lower(record.host);
    if (is_host_name(name))
      hosts.push_back({std::move(name), record.preference, {}});
  }
  std::ranges::sort(hosts, {}, [](const mail_host& host) { return std::pair{host.name, host.preference}; });
  auto again = std::ranges::unique(hosts, {}, &mail_host::name);
  hosts.erase(again.begin(), again.end());
  std::ranges::stable_sort(hosts, {}, &mail_host::preference);
  return hosts;
}

// RFC 5321, section 5.1: a host in the list never relays to one that is not nearer than itself.
void drop_from_own(std::vector<mail_host>& hosts, std::span<const std::string> own_names) {
  auto own = std::ranges::find_if(
      hosts, [&](auto& host) { return std::ranges::find(own_names, host.name) != own_names.end(); });
  if (own != hosts.end())
    std::erase_if(hosts, [limit = own->preference](auto& host) { return host.preference >= limit; });
}

std::string site_of(const std::vector<mail_host>& hosts) {
  std::vector<std::string_view> names;
  for (auto& host : hosts)
    names.push_back(host.name);
  std::ranges::sort(names);
  return fmt::format("{}", fmt::join(names, ","));
}

route_result finish(mail_route route, const random_below& random) {
  shuffle_equal(route.hosts, random);
  if (route.hosts.size() > mail_hosts_max)
    route.hosts.resize(mail_hosts_max);
  return route;
}

route_result implicit_route(std::string_view domain, const mx_answer& answer, std::span<const std::string> own_names) {
  auto name = lower(domain);
  if (!is_host_name(name))
    return std::unexpected{no_route{true, "5.1.2", fmt::format("{} is not a domain name", shown(domain))}};
  if (std::ranges::find(own_names, name) != own_names.end())
    return std::unexpected{no_route{true, "5.4.6", fmt::format("Mail for {} loops back to this host", shown(domain))}};
  mail_route route;
  route.hosts.push_back({name, 0, {}});
  route.site = std::move(name);
  route.implicit = true;
  route.secure = answer.secure;
  route.ttl = answer.ttl;
  return route;
}

} // namespace

bool is_host_name(std::string_view name) noexcept {
  if (name.empty() || name.size() > 253)
    return false;
  std::size_t label = 0;
  bool letter = false;
  for (char c : name) {
    bool alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
    letter = (c == '.' ? false : letter) || alpha;
    if (c == '.' ? label == 0 : !alpha && !(c >= '0' && c <= '9'))
      return false;
    label = c == '.' ? 0 : label + 1;
    if (label > 63)
      return false;
  }
  return label > 0 && letter; // a last label of digits alone makes it an address, if anything
}

route_result route_by_mx(std::string_view domain, const mx_answer& answer, std::span<const std::string> own_names,
                         const random_below& random) {
  if (answer.status == lookup_status::no_data || (answer.status == lookup_status::ok && answer.records.empty()))
    return implicit_route(domain, answer, own_names);
  if (answer.status != lookup_status::ok)
    return std::unexpected{failure_of(domain, answer)};
  if (is_null_mx(answer.records))
    return std::unexpected{failure_of(domain, {.status = lookup_status::null_mx, .records = {}, .why = {}})};
  mail_route route;
  route.hosts = hosts_of(answer.records);
  if (route.hosts.empty())
    return std::unexpected{no_route{true, "5.4.4", fmt::format("No MX record of {} names a host", shown(domain))}};
  route.site = site_of(route.hosts);
  drop_from_own(route.hosts, own_names);
  if (route.hosts.empty())
    return std::unexpected{
        no_route{true, "5.4.6", fmt::format("Mail for {} loops back to this host, its best MX", shown(domain))}};
  route.secure = answer.secure;
  route.ttl = answer.ttl;
  return finish(std::move(route), random);
}

bool is_literal(std::string_view domain) noexcept { return domain.starts_with('[') && domain.ends_with(']'); }

route_result route_by_literal(std::string_view literal) {
  auto inner = is_literal(literal) ? literal.substr(1, literal.size() - 2) : std::string_view{};
  constexpr std::string_view tag = "ipv6:";
  bool tagged = lower(inner.substr(0, tag.size())) == tag;
  auto address = ip_address::parse(tagged ? inner.substr(tag.size()) : inner);
  if (!address || address->v6() != tagged)
    return std::unexpected{no_route{true, "5.1.3", fmt::format("{} is not an address", shown(literal))}};
  mail_route route;
  route.site = fmt::format("[{}]", address->text());
  route.hosts.push_back({address->text(), 0, address});
  return route;
}

std::optional<no_route> address_failure(std::string_view host, const address_answer& answer) {
  switch (answer.status) {
  case lookup_status::ok:
    if (!answer.addresses.empty())
      return std::nullopt;
    [[fallthrough]];
  case lookup_status::no_data:
  case lookup_status::nxdomain:
  case lookup_status::null_mx:
  case lookup_status::invalid_name:
    return no_route{true, "5.4.4", fmt::format("The mail host {} has no address", shown(host))};
  default:
    return temporary(host, answer.status, answer.why);
  }
}

std::expected<std::vector<ip_address>, no_route> usable_addresses(std::string_view host, const address_answer& answer,
                                                                  const address_policy& policy) {
  if (auto failure = address_failure(host, answer))
    return std::unexpected{*std::move(failure)};
  std::vector<ip_address> usable;
  std::string why;
  for (auto& address : answer.addresses) {
    auto refused = refusal(address, policy);
    if (!refused)
      usable.push_back(address);
    else if (why.empty())
      why = *std::move(refused);
  }
  if (usable.empty())
    return std::unexpected{
        no_route{true, "5.4.4", fmt::format("The mail host {} has no usable address: {}", shown(host), why)}};
  return usable;
}

} // namespace hedwig::dns
