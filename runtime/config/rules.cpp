// SPDX-License-Identifier: Apache-2.0
// What no single key can say: each rule is one small function.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "runtime/config/check.hpp"

namespace hedwig::config {
namespace {

/// What every rule looks at.
struct scene {
  draft& what;
  settings& s;
  const node& root;
  const load_options& options;
  report& out;

  [[nodiscard]] const node* find(std::string_view path) const { return find_path(root, path); }
  [[nodiscard]] place at(std::string_view path) const { return nearest_node(root, path); }
  template <class... Args>
  void error(const std::string& path, fmt::format_string<Args...> text, Args&&... args) const {
    out.error(at(path), fmt::format(text, std::forward<Args>(args)...));
  }
  template <class... Args>
  void warning(const std::string& path, fmt::format_string<Args...> text, Args&&... args) const {
    out.warning(at(path), fmt::format(text, std::forward<Args>(args)...));
  }
};

std::string listener_path(std::size_t index, std::string_view key = {}) {
  return fmt::format("server.listeners[{}]{}", index, key);
}

bool is_loopback(const endpoint& where) { return where.host.starts_with("127.") || where.host == "::1"; }
bool is_wildcard(const endpoint& where) { return where.host == "0.0.0.0" || where.host == "::"; }

bool overlap(const endpoint& a, const endpoint& b) {
  if (a.port != b.port || a.port == 0)
    return false;
  const bool same_family = (a.host.find(':') == a.host.npos) == (b.host.find(':') == b.host.npos);
  return a.host == b.host || (same_family && (is_wildcard(a) || is_wildcard(b)));
}

void names(const scene& in) {
  auto& server = in.s.server;
  if (server.hostname.empty())
    server.hostname = in.options.machine_name;
  const bool helo_was_set = !server.helo_hostname.empty();
  if (!helo_was_set)
    server.helo_hostname = server.hostname;
  if (server.helo_hostname.find('.') != std::string::npos)
    return;
  in.warning(
      helo_was_set ? "server.helo_hostname" : "server.hostname",
      "{} is {} and has no dot, so many servers will refuse mail: write a full name such as \"mail.example.com\"",
      helo_was_set ? "server.helo_hostname" : "server.hostname", quoted(server.helo_hostname));
}

void listener_addresses(const scene& in) {
  auto& list = in.s.server.listeners;
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (list[i].name.empty())
      list[i].name = list[i].addr.text();
    for (std::size_t j = 0; j < i; ++j) {
      if (overlap(list[i].addr, list[j].addr))
        in.error(listener_path(i, ".addr"),
                 "server.listeners.addr = \"{}\" is taken by the listener in line {}: write another port",
                 list[i].addr.text(), in.at(listener_path(j, ".addr")).line);
      else if (list[i].name == list[j].name && list[i].addr.port != 0)
        in.error(listener_path(i, ".name"),
                 "server.listeners.name = {} is taken by the listener in line {}: write another name",
                 quoted(list[i].name), in.at(listener_path(j)).line);
    }
  }
}

void other_addresses(const scene& in) {
  const auto clashes = [&](const std::optional<endpoint>& bind, const std::string& key) {
    if (!bind)
      return;
    for (std::size_t i = 0; i < in.s.server.listeners.size(); ++i)
      if (overlap(*bind, in.s.server.listeners[i].addr))
        in.error(key, "{} = \"{}\" is taken by the listener in line {}: write another port", key, bind->text(),
                 in.at(listener_path(i, ".addr")).line);
  };
  clashes(in.s.server.metrics.bind, "server.metrics.bind");
  clashes(in.s.server.health.bind, "server.health.bind");
  clashes(in.s.admin.bind, "admin.bind");
  for (const auto& [bind, key] : {std::pair{in.s.server.metrics.bind, "server.metrics.bind"},
                                  std::pair{in.s.server.health.bind, "server.health.bind"}})
    if (in.s.admin.bind && bind && overlap(*bind, *in.s.admin.bind))
      in.error("admin.bind", "admin.bind = \"{}\" is taken by {}: write another port", in.s.admin.bind->text(), key);
  if (in.s.admin.bind && !is_loopback(*in.s.admin.bind))
    in.warning("admin.bind",
               "admin.bind = \"{}\" lets everyone who reaches it steer the relay: write a loopback address, "
               "or leave it out and use admin.socket",
               in.s.admin.bind->text());
}

bool has_auth(const settings& s) {
  return !s.server.auth.empty() || !s.auth.empty() ||
         std::any_of(s.server.listeners.begin(), s.server.listeners.end(),
                     [](const auto& one) { return one.tls && !one.tls->clients.empty(); });
}

void open_relay(const scene& in, std::size_t index) {
  const auto& one = in.s.server.listeners[index];
  const auto everyone =
      std::find_if(one.relay_from.begin(), one.relay_from.end(), [](const network& n) { return n.is_everyone(); });
  if (everyone != one.relay_from.end() && !one.require_auth)
    in.warning(listener_path(index, ".relay_from"),
               "server.listeners.relay_from holds \"{}\", so anyone may relay: write the networks of your own clients",
               everyone->text());
  if (std::find(one.relay_domains.begin(), one.relay_domains.end(), "*") != one.relay_domains.end())
    in.warning(
        listener_path(index, ".relay_domains"),
        "server.listeners.relay_domains holds \"*\", so anyone may relay: write the domains you are the gateway of");
}

void believed_by_all(const scene& in, std::size_t index) {
  const auto& one = in.s.server.listeners[index];
  for (const auto& [list, key] :
       {std::pair{&one.proxy_from, "proxy_from"}, std::pair{&one.xclient_from, "xclient_from"}}) {
    const auto everyone = std::find_if(list->begin(), list->end(), [](const network& n) { return n.is_everyone(); });
    if (everyone != list->end())
      in.warning(listener_path(index, fmt::format(".{}", key)),
                 "server.listeners.{} holds \"{}\", so anyone may say that he is anybody: write the addresses of your "
                 "own front ends",
                 key, everyone->text());
  }
}

// Those of runtime/smtp/sasl.hpp.
constexpr std::string_view sasl_mechanisms[] = {
    "PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "EXTERNAL"};

void mechanisms(const scene& in, std::size_t index) {
  auto& list = in.s.server.listeners[index].auth_mechanisms;
  for (std::size_t i = 0; i < list.size(); ++i) {
    std::transform(list[i].begin(), list[i].end(), list[i].begin(),
                   [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    const auto path = listener_path(index, fmt::format(".auth_mechanisms[{}]", i));
    if (std::find(std::begin(sasl_mechanisms), std::end(sasl_mechanisms), list[i]) == std::end(sasl_mechanisms))
      in.error(path, "server.listeners.auth_mechanisms holds \"{}\", which is none: write some of {}", list[i],
               fmt::join(sasl_mechanisms, ", "));
    else if (std::find(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(i), list[i]) !=
             list.begin() + static_cast<std::ptrdiff_t>(i))
      in.error(path, "server.listeners.auth_mechanisms holds {} twice: remove one", list[i]);
  }
}

void authentication(const scene& in, std::size_t index) {
  const auto& one = in.s.server.listeners[index];
  mechanisms(in, index);
  if (one.require_auth && one.auth_mechanisms.empty())
    in.error(listener_path(index, ".require_auth"),
             "server.listeners.require_auth is set and auth_mechanisms is empty: name some");
  if (one.require_auth && !has_auth(in.s))
    in.error(listener_path(index, ".require_auth"),
             "server.listeners.require_auth is set and there are no users: add [[server.auth]] or [[auth]]");
  if (one.require_auth && !one.tls && !one.allow_auth_in_clear)
    in.error(listener_path(index, ".require_auth"),
             "server.listeners.require_auth is set and AUTH is never offered without "
             "TLS: add [server.listeners.tls] or allow_auth_in_clear");
  if (one.allow_auth_in_clear)
    in.warning(listener_path(index, ".allow_auth_in_clear"),
               "server.listeners.allow_auth_in_clear lets passwords cross the "
               "network readable: add [server.listeners.tls] instead");
}

/// As it is compared: lower case, without colons.
bool tidy_fingerprint(std::string& sum) {
  std::erase(sum, ':');
  for (auto& c : sum)
    c = c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  return sum.size() == 64 &&
         std::all_of(sum.begin(), sum.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

void client_certificates(const scene& in, std::size_t index) {
  auto& tls = in.s.server.listeners[index].tls;
  if (!tls)
    return;
  std::set<std::string> seen;
  bool by_fingerprint = false;
  for (std::size_t i = 0; i < tls->clients.size(); ++i) {
    auto& one = tls->clients[i];
    const auto path = listener_path(index, fmt::format(".tls.clients[{}]", i));
    if (one.fingerprint.empty() == one.name.empty())
      in.error(path, "server.listeners.tls.clients needs either fingerprint or name: write one of them");
    else if (!one.fingerprint.empty() && !tidy_fingerprint(one.fingerprint))
      in.error(path + ".fingerprint",
               "server.listeners.tls.clients.fingerprint is no SHA-256: write the 64 hexadecimal "
               "digits that openssl x509 -noout -fingerprint -sha256 prints");
    else if (!one.name.empty() && tls->client_ca.empty())
      in.error(path + ".name",
               "server.listeners.tls.clients.name = {} is of no use without client_ca: write the "
               "authorities whose certificates may have it",
               quoted(one.name));
    else if (!seen.insert(one.fingerprint + "/" + one.name).second)
      in.error(path, "server.listeners.tls.clients has this certificate twice: remove one");
    by_fingerprint = by_fingerprint || !one.fingerprint.empty();
  }
  if (tls->require_client_certificate && tls->client_ca.empty() && !by_fingerprint)
    in.error(listener_path(index, ".tls.require_client_certificate"),
             "server.listeners.tls.require_client_certificate is set and no certificate is right: add client_ca, or "
             "clients with a fingerprint");
}

void certificates(const scene& in, std::size_t index) {
  constexpr std::size_t certificates_max = 100;
  auto& tls = in.s.server.listeners[index].tls;
  if (tls && tls->certificates.size() > certificates_max)
    in.error(listener_path(index, ".tls.certificates"),
             "server.listeners.tls.certificates has {} entries: write at most {}, some with several names",
             tls->certificates.size(), certificates_max);
}

void reachable_by_someone(const scene& in, std::size_t index) {
  const auto& one = in.s.server.listeners[index];
  const bool auth_works = has_auth(in.s) && (one.tls || one.allow_auth_in_clear);
  const bool only_local = std::all_of(one.relay_from.begin(), one.relay_from.end(), [](const network& n) {
    return n.size == 4 ? n.address[0] == 127 && n.prefix >= 8 : n.text() == "::1/128";
  });
  if (auth_works || !one.relay_domains.empty() || !only_local)
    return;
  if (one.relay_from.empty())
    in.warning(listener_path(index),
               "server.listeners at \"{}\" relays for nobody: add relay_from, relay_domains or users", one.addr.text());
  else if (!is_loopback(one.addr))
    in.warning(listener_path(index),
               "server.listeners at \"{}\" relays for this machine only: add the networks of your "
               "clients to relay_from, or users",
               one.addr.text());
}

void policies(const scene& in) {
  const auto& list = in.s.server.policies;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto& one = list[i];
    const auto path = [&](std::string_view key) { return fmt::format("server.policies[{}].{}", i, key); };
    for (std::size_t j = 0; j < one.listeners.size(); ++j)
      if (std::ranges::none_of(in.s.server.listeners, [&](auto& known) { return known.name == one.listeners[j]; }))
        in.error(path(fmt::format("listeners[{}]", j)),
                 "server.policies.listeners holds {}, and no listener has that name: write a server.listeners.name",
                 quoted(one.listeners[j]));
    if (one.per == policy_scope::sender_domain && one.connections)
      in.error(path("connections"),
               "server.policies.connections cannot be counted by sender_domain: write another per");
    if (one.per >= policy_scope::user && one.connections_per_minute)
      in.error(path("connections_per_minute"),
               "server.policies.connections_per_minute cannot be counted by user or sender_domain: write another per");
    if (one.per != policy_scope::sender_domain && !one.sender_domains.empty())
      in.error(path("sender_domains"), "server.policies.sender_domains needs per = \"sender_domain\"");
  }
}

void users(const scene& in) {
  std::set<std::string_view> seen;
  const auto& list = in.s.server.auth;
  for (std::size_t i = 0; i < list.size(); ++i)
    if (!seen.insert(list[i].username).second)
      in.error(fmt::format("server.auth[{}].username", i), "server.auth.username = {} stands here twice: keep one",
               quoted(list[i].username));
  if (list.empty())
    return;
  const auto& listeners = in.s.server.listeners;
  if (std::none_of(listeners.begin(), listeners.end(),
                   [](const auto& one) { return one.tls || one.allow_auth_in_clear; }))
    in.warning("server.auth",
               "server.auth is of no use: no listener has TLS, and AUTH is never offered without it; add "
               "[server.listeners.tls] or allow_auth_in_clear");
}

void pools(const scene& in) {
  auto& pool = in.s.server.smtp;
  if (const auto* old = in.find("server.pool_size")) {
    if (in.find("server.smtp.cache_size"))
      in.warning("server.pool_size", "server.pool_size is ignored beside server.smtp.cache_size: remove it");
    else
      pool.cache_size = static_cast<std::uint32_t>(old->integer);
  }
  if (pool.max_size >= pool.min_idle)
    return;
  in.warning("server.smtp.max_size",
             "server.smtp.max_size = {} is less than min_idle and raised to {}: write them in order", pool.max_size,
             pool.min_idle);
  pool.max_size = pool.min_idle;
}

void signing(const scene& in) {
  auto& list = in.s.server.dkim;
  std::set<std::pair<std::string, std::string>> seen;
  for (std::size_t i = 0; i < list.size(); ++i) {
    auto& one = list[i];
    const auto path = fmt::format("server.dkim[{}]", i);
    if (one.domains.empty())
      one.domains = {one.domain, "*." + one.domain};
    if (!seen.emplace(one.domain, one.selector).second)
      in.error(path + ".selector", "server.dkim.selector = {} of {} stands here twice: a selector names one key",
               quoted(one.selector), quoted(one.domain));
    if (one.expire_after && *one.expire_after <= in.s.retry.expire_after)
      in.warning(path + ".expire_after",
                 "server.dkim.expire_after = \"{}\" ends before retry.expire_after: mail delivered "
                 "late fails DKIM; write more than \"{}\"",
                 to_text(*one.expire_after), to_text(in.s.retry.expire_after));
    const bool from_signed =
        one.headers.empty() || std::any_of(one.headers.begin(), one.headers.end(), [](std::string name) {
          std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
          return name == "from";
        });
    if (!from_signed) // RFC 6376 section 5.4
      in.error(path + ".headers", "server.dkim.headers lacks \"From\", which must be signed: add it");
  }
}

/// In lower case, as it is compared.
void digest(const scene& in, std::string& sum, const std::string& path) {
  for (auto& c : sum)
    c = c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  if (!sum.empty() && (sum.size() != 64 || !std::all_of(sum.begin(), sum.end(), is_digit)))
    in.error(path, "{} is no SHA-256: write the 64 hexadecimal digits that hedwig plugin list --sha256 prints",
             path.substr(path.rfind('.') + 1));
}

void storage(const scene& in) {
  auto& store = in.s.storage;
  if (store.storage_type == "log") {
    in.warning("storage.storage_type",
               "storage.storage_type = \"log\" is read as \"rocksdb\", this program's own store: "
               "write \"rocksdb\"");
    store.storage_type = "rocksdb";
  }
  digest(in, store.sha256, "storage.sha256");
  const auto& tables = in.what.storage_tables;
  constexpr std::string_view built_in[] = {"rocksdb", "fs", "sql"};
  const bool known = std::find(std::begin(built_in), std::end(built_in), store.storage_type) != std::end(built_in);
  if (!known && !tables.contains(store.storage_type)) {
    const auto near = nearest_name(store.storage_type, built_in);
    in.error(
        "storage.storage_type", "storage.storage_type = {} is not known: {}", quoted(store.storage_type),
        near ? fmt::format("did you mean \"{}\"?", *near)
             : "write \"rocksdb\", \"fs\" or \"sql\", or add a [storage.<name>] table for the provider of a plugin");
  }
  const std::string_view expected[] = {"rocksdb", "fs", "sql", "cleanup", store.storage_type};
  for (const auto& [name, content] : tables)
    if (std::find(std::begin(expected), std::end(expected), name) == std::end(expected))
      in.out.error(content, fmt::format("storage.{} belongs to no store: did you mean [storage.{}]?", quoted(name),
                                        nearest_name(name, expected).value_or(store.storage_type)));
  const auto found = tables.find(store.storage_type);
  store.provider = std::make_shared<const node>(found == tables.end() ? node{} : found->second);
}

void provider_names(const scene& in, std::vector<provider_settings>& list, std::string_view table,
                    const std::vector<std::size_t>& places) {
  std::set<std::string_view> seen;
  for (std::size_t i = 0; i < list.size(); ++i) {
    auto& one = list[i];
    if (one.name.empty())
      one.name = one.use;
    digest(in, one.sha256, fmt::format("{}[{}].sha256", table, places[i]));
    if (!one.isolation_user.empty() && one.isolation != isolation_mode::process)
      in.error(fmt::format("{}[{}].isolation_user", table, places[i]),
               "{}.isolation_user goes with isolation = \"process\": write that, or remove it", table);
    // The provider's complaints about its table as a whole stand where it is named.
    auto placed = one.settings ? *one.settings : node{};
    const auto at = in.at(fmt::format("{}[{}].use", table, places[i]));
    placed.line = at.line;
    placed.column = at.column;
    one.settings = std::make_shared<const node>(std::move(placed));
    if (!seen.insert(one.name).second)
      in.error(fmt::format("{}[{}].use", table, places[i]),
               "{}.name = {} stands here twice: give this one another name", table, quoted(one.name));
  }
}

void domain_rule_entry(const scene& in, filter_draft& one, const std::string& path) {
  for (const auto& extra : one.extra.members)
    in.out.error(extra, unknown_key("filters[]", extra.key));
  for (const char* key : {"name", "call_timeout", "on_failure", "workers", "max_pending", "max_calls",
                          "breaker_failures", "breaker_delay", "isolation", "isolation_user", "sha256"})
    if (in.find(path + "." + key))
      in.error(path + "." + key, "filters.{} goes with use, not with type: remove it", key);
  if (one.rule.domain.empty())
    in.error(path, "filters.domain is missing: write domain = [\"example.com\"]");
  one.rule.type = *one.type;
  in.s.domain_rules.push_back(std::move(one.rule));
}

void filters(const scene& in) {
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < in.what.filters.size(); ++i) {
    auto& one = in.what.filters[i];
    const auto path = fmt::format("filters[{}]", i);
    const bool provider = !one.provider.use.empty();
    if (provider == one.type.has_value()) {
      in.error(path, "{}",
               provider ? "filters has both type and use: write one of them"
                        : "filters has neither type nor use: write type = \"from_domain_filter\", or use = "
                          "\"...\" with the name of a provider");
    } else if (provider) {
      if (one.provider.on_failure == failure_action::accept)
        one.provider.on_failure = failure_action::proceed;
      one.provider.settings = std::make_shared<const node>(std::move(one.extra));
      in.s.filters.push_back(std::move(one.provider));
      places.push_back(i);
    } else {
      domain_rule_entry(in, one, path);
    }
  }
  provider_names(in, in.s.filters, "filters", places);
}

void auth_providers(const scene& in) {
  std::vector<std::size_t> places(in.s.auth.size());
  for (std::size_t i = 0; i < places.size(); ++i)
    places[i] = i;
  provider_names(in, in.s.auth, "auth", places);
}

void routes(const scene& in) {
  const auto& list = in.s.routes;
  std::optional<std::size_t> catch_all;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto path = fmt::format("routes[{}]", i);
    if (catch_all)
      in.warning(path, "routes: never reached, the route in line {} takes every domain: move this one before it",
                 in.at(fmt::format("routes[{}]", *catch_all)).line);
    else if (std::find(list[i].domains.begin(), list[i].domains.end(), "*") != list[i].domains.end())
      catch_all = i;
    for (std::size_t hop = 0; hop < list[i].to.size(); ++hop)
      for (const auto& listener : in.s.server.listeners)
        if (list[i].to[hop].is_ip && list[i].to[hop] == listener.addr)
          in.error(fmt::format("{}.to[{}]", path, hop),
                   "routes.to = \"{}\" is this relay's own listener: mail would go in "
                   "circles; write the next hop",
                   listener.addr.text());
    if (in.s.server.outbound_local && (list[i].tls == outbound_tls::require || list[i].tls == outbound_tls::verify))
      in.error(path + ".tls", "routes.tls asks for TLS and server.outbound_local forbids it: remove one of them");
  }
}

/// What one session may hold must fit: a header and a part that is not staged yet, one more that is being written, and
/// the buffers that are half full.
void memory(const scene& in) {
  constexpr std::uint64_t part = 256 * 1024;
  const auto needed = std::max(in.s.queue.stage_above, in.s.server.max_header_size) + 3 * part;
  const auto bytes = in.s.queue.pending_append_bytes;
  if (bytes < needed)
    in.error("queue.pending_append_bytes",
             "queue.pending_append_bytes = {} is too little for one message (see queue.stage_above and "
             "server.max_header_size): write {} or more",
             bytes, needed);
  if (in.s.process.message_memory / 4 < needed)
    in.error("process.message_memory",
             "process.message_memory = {}: a quarter of it is too little for one message (see queue.stage_above and "
             "server.max_header_size): write {} or more",
             in.s.process.message_memory, 4 * needed);
}

void retry(const scene& in) {
  const auto& r = in.s.retry;
  if (r.initial_delay > r.max_delay)
    in.error(in.find("retry.initial_delay") ? "retry.initial_delay" : "retry.max_delay",
             "retry.initial_delay = \"{}\" is more than retry.max_delay = \"{}\": write them in order",
             to_text(r.initial_delay), to_text(r.max_delay));
  if (in.s.dsn.delay_warning && *in.s.dsn.delay_warning >= r.expire_after)
    in.warning("dsn.delay_warning",
               "dsn.delay_warning = \"{}\" never comes, mail expires after \"{}\": write less, or \"off\"",
               to_text(*in.s.dsn.delay_warning), to_text(r.expire_after));
}

void switches(const scene& in) {
  if (in.s.server.disable_outbound)
    in.warning("server.disable_outbound",
               "server.disable_outbound is set: mail is accepted and thrown away; write false");
  if (in.s.server.outbound_local)
    in.warning("server.outbound_local", "server.outbound_local is set: all mail leaves in clear text; write false, and "
                                        "tls = \"none\" on the routes that need it");
  if (in.s.outbound.paused)
    in.warning("outbound.paused", "outbound.paused is set: nothing is delivered until \"hedwig-admin resume\"");
}

void threads(const scene& in) {
  const unsigned processors = std::max(1u, in.options.processors);
  auto& process = in.s.process;
  if (process.io_loops == 0)
    process.io_loops = std::min(processors, 256u);
  if (process.scheduler_threads == 0)
    process.scheduler_threads = std::clamp(processors, 2u, 256u);
  if (in.s.log.format == log_format::text)
    in.s.log.format = log_format::fmt;
  if (in.s.dsn.from.empty())
    in.s.dsn.from = "MAILER-DAEMON@" + in.s.server.hostname;
  if (in.s.server.postmaster.empty())
    in.s.server.postmaster = "postmaster@" + in.s.server.hostname;
}

} // namespace

void apply_rules(draft& what, const node& root, const load_options& options, report& out) {
  const scene in{what, what.settings, root, options, out};
  names(in);
  listener_addresses(in);
  other_addresses(in);
  storage(in);
  filters(in);
  auth_providers(in);
  for (std::size_t i = 0; i < what.settings.server.listeners.size(); ++i) {
    open_relay(in, i);
    believed_by_all(in, i);
    authentication(in, i);
    certificates(in, i);
    client_certificates(in, i);
    reachable_by_someone(in, i);
  }
  users(in);
  policies(in);
  pools(in);
  signing(in);
  routes(in);
  memory(in);
  retry(in);
  switches(in);
  threads(in);
}

} // namespace hedwig::config
