// SPDX-License-Identifier: Apache-2.0
#include "runtime/dns/unbound_context.hpp"

#include <fmt/format.h>
#include <unbound.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>

namespace hedwig::dns {

namespace {

constexpr const char* resolv_conf = "/etc/resolv.conf";

std::unexpected<error> refused(std::string message, std::string where) {
  return std::unexpected{error{HEDWIG_E_CONFIG, std::move(message), std::move(where)}};
}

struct server {
  ip_address address;
  unsigned port = 53;
};

std::optional<unsigned> parse_port(std::string_view text) {
  unsigned port = 0;
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (failed != std::errc{} || end != text.data() + text.size() || port == 0 || port > 65535)
    return std::nullopt;
  return port;
}

std::optional<server> parse_server(std::string_view text) {
  if (auto whole = ip_address::parse(text))
    return server{*whole, 53};
  bool bracketed = text.starts_with('[');
  auto host_end = text.find(bracketed ? ']' : ':');
  if (host_end == std::string_view::npos)
    return std::nullopt;
  auto address = ip_address::parse(text.substr(bracketed ? 1 : 0, host_end - (bracketed ? 1 : 0)));
  auto rest = text.substr(host_end + (bracketed ? 1 : 0));
  if (!address || (!rest.empty() && !rest.starts_with(':')))
    return std::nullopt;
  auto port = rest.empty() ? std::optional{53u} : parse_port(rest.substr(1));
  return port ? std::optional{server{*address, *port}} : std::nullopt;
}

bool system_server_on_loopback() {
  std::ifstream file{resolv_conf};
  std::string word;
  while (file >> word)
    if (word == "nameserver" && file >> word)
      if (auto address = ip_address::parse(word); address && classify(*address) == address_class::loopback)
        return true;
  return false;
}

/// Sets options until one fails, and remembers that one.
class option_setter {
public:
  explicit option_setter(ub_ctx* context) noexcept : context_{context} {}
  void set(const std::string& name, const std::string& value) {
    check(ub_ctx_set_option(context_, (name + ":").c_str(), value.c_str()), name);
  }
  void check(int code, const std::string& what) {
    if (code != 0 && wrong_.empty())
      wrong_ = fmt::format("libunbound does not take {}: {}", what, ub_strerror(code));
  }
  [[nodiscard]] const std::string& wrong() const noexcept { return wrong_; }

private:
  ub_ctx* context_;
  std::string wrong_;
};

void set_limits(option_setter& options, const resolver_settings& settings) {
  options.set("msg-cache-size", fmt::to_string(settings.cache_bytes / 4));
  options.set("rrset-cache-size", fmt::to_string(settings.cache_bytes / 2));
  options.set("key-cache-size", fmt::to_string(settings.cache_bytes / 8));
  options.set("neg-cache-size", fmt::to_string(settings.cache_bytes / 8));
  options.set("cache-max-ttl", fmt::to_string(settings.ttl_max.count()));
  // A server that was down is asked again soon, not after libunbound's 15 minutes.
  options.set("infra-host-ttl", "30");
  // The servers we ask know their own zones; libunbound would answer these itself (RFC 6761, 8375).
  for (auto zone : {"test.", "home.arpa."})
    options.set("local-zone", fmt::format("{} transparent", zone));
}

result<void> use_servers(ub_ctx* context, option_setter& options, const resolver_settings& settings) {
  bool loopback = false;
  for (auto& text : settings.servers) {
    auto parsed = parse_server(text);
    if (!parsed)
      return refused(
          fmt::format("\"{}\" is no name server: write an address, \"192.0.2.1:53\" or \"[2001:db8::1]:53\"", text),
          "dns.servers");
    loopback |= classify(parsed->address) == address_class::loopback;
    auto target = fmt::format("{}@{}", parsed->address.text(), parsed->port);
    options.check(ub_ctx_set_fwd(context, target.c_str()), target);
  }
  if (settings.servers.empty() && std::filesystem::exists(resolv_conf)) {
    loopback = system_server_on_loopback();
    options.check(ub_ctx_resolvconf(context, nullptr), resolv_conf);
    (void)ub_ctx_hosts(context, nullptr); // a machine without /etc/hosts is fine
  }
  if (loopback)
    options.set("do-not-query-localhost", "no");
  return {};
}

lookup_status status_of(const ub_result& found) noexcept {
  constexpr int nxdomain_code = 3;
  if (found.bogus)
    return lookup_status::bogus;
  if (found.nxdomain || found.rcode == nxdomain_code)
    return lookup_status::nxdomain;
  if (found.rcode != 0)
    return lookup_status::servfail;
  return found.havedata ? lookup_status::ok : lookup_status::no_data;
}

std::string reason_of(const ub_result& found) {
  constexpr std::string_view names[] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"};
  if (found.bogus)
    return fmt::format("DNSSEC: {}", found.why_bogus == nullptr ? "bogus" : found.why_bogus);
  auto code = static_cast<std::size_t>(found.rcode);
  return code < std::size(names) ? std::string{names[code]} : fmt::format("RCODE {}", found.rcode);
}

} // namespace

void delete_context::operator()(ub_ctx* context) const noexcept { ub_ctx_delete(context); }

result<context_ptr> make_context(const resolver_settings& settings) {
  context_ptr context{ub_ctx_create()};
  if (!context)
    return std::unexpected{error{HEDWIG_E_BUSY, "libunbound: no memory", "dns"}};
  option_setter options{context.get()};
  set_limits(options, settings);
  if (auto used = use_servers(context.get(), options, settings); !used)
    return std::unexpected{std::move(used).error()};
  if (!settings.trust_anchor.empty()) {
    if (!std::ifstream{settings.trust_anchor})
      return refused(fmt::format("cannot read the trust anchor {}", settings.trust_anchor.string()),
                     "dns.trust_anchor");
    options.check(ub_ctx_add_ta_file(context.get(), settings.trust_anchor.c_str()), settings.trust_anchor.string());
  }
  options.check(ub_ctx_async(context.get(), 1), "asynchronous use");
  if (!options.wrong().empty())
    return refused(options.wrong(), "dns");
  return context;
}

raw_answer copy_answer(int failure, const ub_result* found) {
  raw_answer out;
  if (failure != 0 || found == nullptr) {
    out.why = ub_strerror(failure);
    return out;
  }
  out.status = status_of(*found);
  out.ttl = std::chrono::seconds{std::max(found->ttl, 0)};
  out.secure = found->secure != 0;
  if (out.status != lookup_status::ok) {
    out.why = reason_of(*found);
    return out;
  }
  for (std::size_t i = 0; found->data[i] != nullptr && i < records_max; ++i)
    out.records.emplace_back(found->data[i], static_cast<std::size_t>(found->len[i]));
  return out;
}

namespace {

// The name that fills `wire` to its end.
std::optional<std::string> parse_name(std::string_view wire) {
  std::string out;
  for (;;) {
    if (wire.empty())
      return std::nullopt;
    std::size_t size = static_cast<unsigned char>(wire.front());
    if (size == 0)
      return wire.size() == 1 ? std::optional{std::move(out)} : std::nullopt;
    if (size > 63 || size >= wire.size())
      return std::nullopt;
    if (!out.empty())
      out.push_back('.');
    for (char c : wire.substr(1, size)) {
      bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
      out.push_back(plain ? c : c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : '?');
    }
    wire.remove_prefix(size + 1);
  }
}

std::optional<std::string> parse_strings(std::string_view wire) {
  std::string out;
  while (!wire.empty()) {
    std::size_t size = static_cast<unsigned char>(wire.front());
    if (size >= wire.size())
      return std::nullopt;
    out += wire.substr(1, size);
    wire.remove_prefix(size + 1);
  }
  return out;
}

} // namespace

std::optional<mx_record> parse_mx(std::string_view wire) {
  if (wire.size() < 3)
    return std::nullopt;
  auto host = parse_name(wire.substr(2));
  if (!host)
    return std::nullopt;
  auto byte = [&](std::size_t i) { return static_cast<unsigned>(static_cast<unsigned char>(wire[i])); };
  return mx_record{static_cast<std::uint16_t>(byte(0) << 8 | byte(1)), *std::move(host)};
}

std::optional<dns_record> parse_record(record_type type, std::string_view wire) {
  std::optional<std::string> value;
  switch (type) {
  case record_type::a:
  case record_type::aaaa:
    if (wire.size() == (type == record_type::a ? 4u : 16u))
      value = std::string{wire};
    break;
  case record_type::ptr:
    value = parse_name(wire);
    break;
  case record_type::txt:
    value = parse_strings(wire);
    break;
  case record_type::mx:
    if (auto mx = parse_mx(wire))
      return dns_record{mx->preference, std::move(mx->host)};
  }
  return value ? std::optional{dns_record{0, *std::move(value)}} : std::nullopt;
}

} // namespace hedwig::dns
