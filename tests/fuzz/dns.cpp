// SPDX-License-Identifier: Apache-2.0
// Records of DNS answers in wire format, and the way that is made of them. Input: a type, then records, each after an
// octet with its length.
#include "runtime/dns/mx_rules.hpp"
#include "runtime/dns/unbound_context.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <array>

namespace hedwig::fuzz {

namespace {

// 253 octets of a name and its dots, before what is not fit for a name is replaced.
constexpr std::size_t dns_name_octets_max = 255;

void check_name(std::string_view name) {
  demand(name.size() <= dns_name_octets_max, "a name has its limit");
  for (auto c : name)
    demand(c > 0x20 && c < 0x7f, "a name is printable");
}

void check_record(dns::record_type type, const dns::dns_record& record) {
  if (type == dns::record_type::a || type == dns::record_type::aaaa)
    demand(record.value.size() == (type == dns::record_type::a ? 4u : 16u), "an address has its octets");
  else if (type != dns::record_type::txt)
    check_name(record.value);
}

} // namespace

void dns(std::string_view input) {
  static constexpr std::array types{dns::record_type::a, dns::record_type::ptr, dns::record_type::mx,
                                    dns::record_type::txt, dns::record_type::aaaa};
  auto type = types[take_octet(input) % types.size()];
  dns::mx_answer answer{.status = dns::lookup_status::ok, .records = {}, .why = {}};
  while (!input.empty() && answer.records.size() < dns::records_max) {
    auto size = take_octet(input);
    const std::string wire{input.substr(0, size)};
    input.remove_prefix(wire.size());
    if (auto record = dns::parse_record(type, wire))
      check_record(type, *record);
    if (auto record = dns::parse_mx(wire)) {
      check_name(record->host);
      answer.records.push_back(*std::move(record));
    }
  }
  const std::vector<std::string> own{"relay.example.test"};
  auto route = dns::route_by_mx("example.test", answer, own, [](std::uint64_t bound) { return bound - 1; });
  if (!route)
    return;
  demand(!route->hosts.empty() && route->hosts.size() <= dns::mail_hosts_max, "hosts have their limit");
  for (auto& host : route->hosts)
    demand(dns::is_host_name(host.name) && host.name != own[0], "a host is a name, and not ours");
}

} // namespace hedwig::fuzz
