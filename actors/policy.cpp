// SPDX-License-Identifier: Apache-2.0
#include "actors/policy.hpp"

#include "runtime/base/ascii.hpp"
#include "runtime/dkim/key.hpp"

#include <algorithm>

namespace hedwig {

namespace {

queue::tls_mode mode_of(config::outbound_tls tls) {
  switch (tls) {
  case config::outbound_tls::none:
    return queue::tls_mode::none;
  case config::outbound_tls::require:
    return queue::tls_mode::require;
  case config::outbound_tls::verify:
    return queue::tls_mode::verify;
  default:
    return queue::tls_mode::opportunistic;
  }
}

/// Neither a port other than 25 nor a name server of one's own on a port of its own leads to the Internet: who has such
/// a set-up tests, and his hosts are where he says.
bool is_lab(const config::settings& settings) {
  auto own_server = [](const config::endpoint& server) {
    auto at = net::address::parse_ip(server.host, server.port);
    return at && at->is_loopback() && server.port != 53;
  };
  auto& servers = settings.dns.servers;
  return settings.outbound.port != 25 || (!servers.empty() && std::ranges::all_of(servers, own_server));
}

class policy_maker {
public:
  policy_maker(config::settings settings, wall_time now, policy_report& report, const net::tls_commons& commons)
    : now_{now}, report_{report}, commons_{commons} {
    made_->settings = std::move(settings);
  }

  std::shared_ptr<const relay_policy> make() {
    auto& settings = made_->settings;
    make_routes();
    make_retry();
    make_signer();
    check_address("dsn.from", settings.dsn.from);
    check_address("server.postmaster", settings.server.postmaster);
    for (std::size_t i = 0; i < settings.server.listeners.size(); ++i)
      made_->listeners.push_back(make_listener(i, "server.listeners[" + std::to_string(i) + "]"));
    made_->client_tls = client_context(net::tls_client_options::verify_mode::none);
    made_->client_tls_verified = client_context(net::tls_client_options::verify_mode::name);
    made_->allow_private_mx = settings.outbound.allow_private_mx || is_lab(settings);
    made_->own_names = {settings.server.hostname, settings.server.helo_hostname};
    return report_.errors.empty() ? made_ : nullptr;
  }

private:
  template <class T>
  std::optional<T> take(result<T> value, const std::string& key) {
    if (value)
      return std::move(*value);
    report_.errors.push_back({key, value.error().text()});
    return std::nullopt;
  }

  void warn(const std::string& key, const std::vector<std::string>& texts) {
    for (auto& text : texts)
      report_.warnings.push_back({key, text});
  }

  void make_routes() {
    std::vector<queue::route> routes;
    for (auto& one : made_->settings.routes) {
      queue::route route{.domains = one.domains, .to = {}, .tls = mode_of(one.tls)};
      for (auto& hop : one.to)
        route.to.push_back({hop.host, hop.port});
      routes.push_back(std::move(route));
    }
    // What no route names goes by MX, protected as [outbound] says.
    routes.push_back({.domains = {"*"}, .to = {}, .tls = mode_of(made_->settings.outbound.tls)});
    if (made_->settings.server.outbound_local)
      for (auto& route : routes)
        route.tls = queue::tls_mode::none;
    if (auto table = take(queue::route_table::make(std::move(routes)), "routes"))
      made_->routes = std::move(*table);
  }

  void make_retry() {
    auto& settings = made_->settings;
    auto expire_after = std::min(settings.retry.expire_after,
                                 settings.storage.cleanup.deferred_retention.value_or(config::duration::max()));
    made_->retry = {.initial_delay = settings.retry.initial_delay,
                    .max_delay = settings.retry.max_delay,
                    .jitter = settings.retry.jitter,
                    .expire_after = expire_after,
                    .max_retries = settings.server.max_retries,
                    .delay_warning = settings.dsn.delay_warning};
  }

  void check_address(const std::string& key, const std::string& text) {
    auto address = mail::address::parse(text);
    if (!address || address->empty() || !mail::is_ascii(text))
      report_.errors.push_back({key, key + " is no address: write one such as \"postmaster@example.com\""});
  }

  void make_signer() {
    std::vector<dkim::signer_settings> all;
    auto& keys = made_->settings.server.dkim;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      auto& one = keys[i];
      auto path = "server.dkim[" + std::to_string(i) + "]";
      std::vector<std::string> warnings;
      auto key = take(dkim::signing_key::load(one.private_key, warnings), path + ".private_key");
      warn(path + ".private_key", warnings);
      if (!key)
        continue;
      auto wanted = one.key_type == config::dkim_key_type::rsa ? dkim::key_type::rsa : dkim::key_type::ed25519;
      if (key->type() != wanted) {
        report_.errors.push_back({path + ".key_type", one.private_key + " holds a key of type " +
                                                          std::string{dkim::to_string_view(key->type())} +
                                                          ": write key_type = \"" +
                                                          std::string{dkim::to_string_view(key->type())} + "\""});
        continue;
      }
      dkim::signer_settings made{.domain = one.domain,
                                 .selector = one.selector,
                                 .key = std::move(*key),
                                 .applies_to = one.domains,
                                 .fields = one.headers};
      made.expiry = one.expire_after ? std::chrono::duration_cast<std::chrono::seconds>(*one.expire_after)
                                     : std::chrono::seconds{0};
      all.push_back(std::move(made));
    }
    if (auto signer = take(dkim::signer::make(std::move(all)), "server.dkim"))
      made_->signer = std::move(*signer);
  }

  void switch_off(const std::vector<std::string>& names, const std::string& path, smtp::server_settings& protocol) {
    constexpr std::pair<std::string_view, bool smtp::server_settings::*> known[] = {
        {"PIPELINING", &smtp::server_settings::pipelining},
        {"SIZE", &smtp::server_settings::size},
        {"8BITMIME", &smtp::server_settings::eight_bit_mime},
        {"SMTPUTF8", &smtp::server_settings::smtputf8},
        {"DSN", &smtp::server_settings::dsn},
        {"CHUNKING", &smtp::server_settings::chunking},
        {"BINARYMIME", &smtp::server_settings::binary_mime},
        {"LIMITS", &smtp::server_settings::tell_limits},
        {"MT-PRIORITY", &smtp::server_settings::mt_priority},
        {"DELIVERBY", &smtp::server_settings::deliver_by},
        {"FUTURERELEASE", &smtp::server_settings::future_release},
        {"REQUIRETLS", &smtp::server_settings::requiretls},
    };
    for (auto& name : names) {
      auto found = std::ranges::find_if(known, [&](auto& one) { return ascii::equal_ignoring_case(name, one.first); });
      if (found == std::end(known))
        report_.errors.push_back({path, "disabled_extensions: \"" + name +
                                            "\" is none that can be switched off: write some of PIPELINING, SIZE, "
                                            "8BITMIME, SMTPUTF8, DSN, CHUNKING, BINARYMIME, LIMITS, "
                                            "MT-PRIORITY, DELIVERBY, FUTURERELEASE, REQUIRETLS"});
      else
        protocol.*found->second = false;
    }
  }

  /// Where a file of a listener's TLS stands in the configuration.
  static std::string key_of_file(const config::tls_settings& tls, const std::string& path, const std::string& file) {
    if (file == tls.cert_path || file == tls.key_path)
      return path + (file == tls.key_path ? ".tls.key_path" : ".tls.cert_path");
    for (std::size_t i = 0; i < tls.certificates.size(); ++i)
      if (auto& one = tls.certificates[i]; file == one.cert_path || file == one.key_path)
        return path + ".tls.certificates[" + std::to_string(i) + "]" +
               (file == one.key_path ? ".key_path" : ".cert_path");
    return path + (file == tls.client_ca ? ".tls.client_ca" : ".tls");
  }

  std::shared_ptr<const net::tls_context> listener_tls(std::size_t index, const std::string& path) {
    auto& server = made_->settings.server;
    auto& tls = *server.listeners[index].tls;
    auto context = make_listener_tls(server, index, now_, commons_);
    if (!context) {
      report_.errors.push_back({key_of_file(tls, path, context.error().where), context.error().text()});
      return nullptr;
    }
    for (auto& one : (*context)->certificates()) {
      auto key = key_of_file(tls, path, one.file);
      warn(key, one.warnings);
      if (one.expires > now_ && one.expires - now_ < server.tls.expiry_warning)
        report_.warnings.push_back({key, net::expiry_text(one, now_)});
    }
    return *context;
  }

  listener_policy make_listener(std::size_t index, const std::string& path) {
    auto& server = made_->settings.server;
    auto& listener = server.listeners[index];
    listener_policy made;
    if (listener.tls)
      made.tls = listener_tls(index, path);
    auto protocol = std::make_shared<smtp::server_settings>();
    protocol->hostname = server.hostname;
    protocol->starttls = made.tls && listener.tls->mode == config::listener_tls::starttls;
    protocol->xclient = !listener.xclient_from.empty();
    protocol->auth_in_clear = listener.allow_auth_in_clear;
    protocol->require_auth = listener.require_auth;
    if (!server.auth.empty() || !made_->settings.auth.empty() || (listener.tls && !listener.tls->clients.empty()))
      protocol->mechanisms = listener.auth_mechanisms;
    switch_off(listener.disabled_extensions, path + ".disabled_extensions", *protocol);
    protocol->deliver_by_min = std::chrono::ceil<std::chrono::seconds>(server.min_deliver_by);
    protocol->hold_max = std::chrono::floor<std::chrono::seconds>(server.max_hold);
    auto& limits = protocol->limits;
    limits.data.body_octets_max = server.max_message_size;
    limits.data.endings = listener.line_endings == config::bare_line_ends::normalize ? smtp::line_endings::normalize
                                                                                     : smtp::line_endings::strict;
    limits.recipients_max = server.max_recipients;
    limits.bad_commands_max = server.max_errors;
    limits.auth_failures_max = server.max_auth_failures;
    made.known_clients = make_client_rules(server, protocol, true);
    made.other_clients = make_client_rules(server, std::move(protocol), false);
    return made;
  }

  std::shared_ptr<const net::tls_context> client_context(net::tls_client_options::verify_mode verify) {
    net::tls_client_options options;
    options.verify = verify;
    options.ca_file = made_->settings.outbound.ca_file;
    return take(net::tls_context::make_client(options, now_), "outbound.ca_file").value_or(nullptr);
  }

  wall_time now_;
  policy_report& report_;
  const net::tls_commons& commons_;
  std::shared_ptr<relay_policy> made_ = std::make_shared<relay_policy>();
};

} // namespace

std::shared_ptr<const relay_policy> make_policy(config::settings settings, wall_time now, policy_report& report,
                                                const net::tls_commons& commons) {
  return policy_maker{std::move(settings), now, report, commons}.make();
}

} // namespace hedwig
