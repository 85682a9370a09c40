// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/config/node.hpp"
#include "runtime/config/values.hpp"

// The checked values of a configuration file. Plain data: made by load(), never changed afterwards, shared by
// shared_ptr<const settings> between all who read it. What a key means, its default and its range stand in one place,
// the schema (schema.cpp), from which docs/configuration.md is printed. Member names are the names of the file.
// A settings{} of your own holds zeros, not the defaults: start from config::defaults().
namespace hedwig::config {

enum class listener_tls : std::uint8_t { implicit, starttls };
/// How a connection to a next hop is protected. `require` encrypts, `verify` also checks the certificate's name.
enum class outbound_tls : std::uint8_t { none, opportunistic, require, verify };
enum class dkim_key_type : std::uint8_t { rsa, ed25519 };
enum class dsn_return : std::uint8_t { headers, full };
enum class log_format : std::uint8_t { fmt, json, text /* the same as fmt; load() never leaves it */ };
/// What clients outside `proxy_from` get, where that names somebody.
enum class direct_clients : std::uint8_t { refuse, accept };
/// Whose connections and messages a policy counts together.
enum class policy_scope : std::uint8_t { address, network, listener, user, sender_domain };
/// What a user who is limited to some senders and uses another gets.
enum class bare_line_ends : std::uint8_t { strict, normalize };
enum class foreign_sender : std::uint8_t { off, log, refuse };
enum class failure_action : std::uint8_t {
  tempfail,
  proceed,
  reject,
  accept /* the same as proceed; load() never leaves it */
};
/// Where a provider's code runs: in the relay, called on its own threads; the same, but always on threads kept for it;
/// in a process of its own.
enum class isolation_mode : std::uint8_t { none, thread, process };
enum class filter_type : std::uint8_t { from_domain_filter, to_domain_filter };
enum class filter_action : std::uint8_t { allow, deny };

struct tls_certificate_settings {
  std::string cert_path;
  std::string key_path;
  friend bool operator==(const tls_certificate_settings&, const tls_certificate_settings&) = default;
};

/// A client certificate and whom it is good for. One of the first two is set.
struct tls_client_settings {
  std::string fingerprint;          ///< SHA-256, lower-case hex after load()
  std::string name;                 ///< in a certificate of client_ca
  std::vector<std::string> users;   ///< never empty; the first is meant where the client names none
  std::vector<std::string> senders; ///< empty: any
  friend bool operator==(const tls_client_settings&, const tls_client_settings&) = default;
};

struct tls_settings {
  std::string cert_path;
  std::string key_path;
  listener_tls mode{};
  std::vector<tls_certificate_settings> certificates; ///< beside the first, by name
  std::uint32_t max_handshakes{};                     ///< 0: only that of the process
  std::string client_ca;                              ///< path; empty: none
  bool require_client_certificate{};
  std::vector<tls_client_settings> clients;
  friend bool operator==(const tls_settings&, const tls_settings&) = default;
};

struct listener_settings {
  std::string name; ///< for logs, metrics and the console; the address as text unless set
  endpoint addr;
  std::optional<tls_settings> tls;
  std::vector<network> relay_from;
  std::vector<std::string> relay_domains; ///< domain patterns
  bool require_auth{};
  bool allow_auth_in_clear{};
  std::vector<std::string> auth_mechanisms; ///< capitals, in the order in which they are offered
  foreign_sender sender_policy{};
  bare_line_ends line_endings{};
  std::vector<network> proxy_from; ///< who must send a PROXY header
  direct_clients proxy_others{};
  std::vector<network> xclient_from;            ///< who may say XCLIENT
  bool xclient_login{};                         ///< with LOGIN
  std::vector<std::string> disabled_extensions; ///< EHLO keywords, as written
  friend bool operator==(const listener_settings&, const listener_settings&) = default;

  /// Clients expect TLS and no greeting.
  [[nodiscard]] bool begins_with_tls() const noexcept { return tls && tls->mode == listener_tls::implicit; }
};

/// One [[server.policies]] entry: limits of some clients. Absent numbers and times of zero say nothing.
struct client_policy_settings {
  std::vector<network> networks;           ///< whose; empty: everybody's
  std::vector<std::string> listeners;      ///< names; empty: of all
  std::vector<std::string> sender_domains; ///< patterns, for policy_scope::sender_domain; empty: all
  policy_scope per{};
  std::optional<std::uint32_t> connections; ///< this and the next five for each of `per`; 0: without limit
  std::optional<std::uint32_t> connections_per_minute;
  std::optional<std::uint32_t> messages_per_minute;
  std::optional<std::uint32_t> messages_per_day;
  std::optional<std::uint32_t> recipients_per_minute;
  std::optional<std::uint32_t> recipients_per_day;
  std::optional<std::uint64_t> max_message_size; ///< bytes; this and the rest of each session
  std::optional<std::uint32_t> max_recipients;
  std::optional<std::uint32_t> max_errors;
  duration greeting_timeout{};
  duration cmd_timeout{};
  duration data_timeout{};
  duration session_timeout{};
  std::optional<std::uint64_t> min_data_rate; ///< bytes a second; 0: none
  friend bool operator==(const client_policy_settings&, const client_policy_settings&) = default;
};

struct auth_user {
  std::string username;
  secret password; ///< a hash ("$argon2id$…", "$2b$…") or plain text
  friend bool operator==(const auth_user&, const auth_user&) = default;
};

struct dkim_settings {
  std::string domain;
  std::string selector;
  std::string private_key; ///< path of a PEM file
  dkim_key_type key_type{};
  std::vector<std::string> domains;     ///< patterns of sender domains this key signs for; never empty after load()
  std::vector<std::string> headers;     ///< field names to sign; empty: the signer's own safe list
  std::optional<duration> expire_after; ///< x= of the signature; absent: none
  friend bool operator==(const dkim_settings&, const dkim_settings&) = default;
};

struct rate_limit_settings {
  bool enabled{};
  std::optional<std::uint64_t> default_limit;         ///< messages a minute to one domain; absent or 0: unlimited
  std::map<std::string, std::uint64_t> domain_limits; ///< by domain in lower case; 0: unlimited
  friend bool operator==(const rate_limit_settings&, const rate_limit_settings&) = default;
};

/// Connection pools of destinations.
struct pool_settings {
  std::uint32_t cache_size{}; ///< destinations remembered
  std::uint32_t min_idle{};
  std::uint32_t max_size{}; ///< connections to one destination
  friend bool operator==(const pool_settings&, const pool_settings&) = default;
};

struct metrics_settings {
  std::optional<endpoint> bind;
  std::uint32_t max_label_values{};
  friend bool operator==(const metrics_settings&, const metrics_settings&) = default;
};

struct health_settings {
  std::optional<endpoint> bind;
  friend bool operator==(const health_settings&, const health_settings&) = default;
};

/// TLS of all listeners together.
struct tls_process_settings {
  duration handshake_timeout{};
  std::uint32_t max_handshakes{}; ///< 0: without limit
  std::uint32_t max_waiting_handshakes{};
  duration ticket_rotation{}; ///< 0: no tickets
  duration watch_interval{};  ///< 0: files are not looked at
  duration expiry_warning{};
  friend bool operator==(const tls_process_settings&, const tls_process_settings&) = default;
};

struct server_settings {
  std::string hostname;
  std::string helo_hostname; ///< never empty after load()
  std::string postmaster;    ///< never empty after load()
  std::uint32_t workers{};   ///< read for the sake of old files; means nothing
  std::uint32_t max_retries{};
  bool disable_outbound{};
  bool outbound_local{};
  std::uint64_t queue_buffer{}; ///< means nothing
  std::uint32_t max_connections{};
  std::uint64_t max_message_size{}; ///< bytes
  duration cmd_timeout{};
  duration data_timeout{};
  duration greeting_timeout{};
  duration session_timeout{};
  std::uint64_t min_data_rate{};  ///< bytes a second; 0: none
  std::uint32_t max_recipients{}; ///< of one transaction
  duration min_deliver_by{};
  duration max_hold{};
  std::uint32_t max_errors{};
  std::uint32_t max_auth_failures{};
  duration auth_failure_delay{};
  std::uint32_t auth_failures_per_address{}; ///< 0: without limit
  std::uint32_t auth_failures_per_user{};    ///< 0: without limit
  duration auth_failure_window{};
  duration auth_lockout{};
  std::uint32_t max_received_fields{};
  std::uint64_t max_header_size{}; ///< bytes
  bool refuse_early_talkers{};
  duration greeting_delay{};
  duration proxy_timeout{};
  pool_settings smtp;
  metrics_settings metrics;
  health_settings health;
  tls_process_settings tls;
  std::vector<listener_settings> listeners;
  std::vector<client_policy_settings> policies; ///< for each limit the first that fits and names it
  std::vector<auth_user> auth;
  std::vector<dkim_settings> dkim;
  rate_limit_settings rate_limits;
  friend bool operator==(const server_settings&, const server_settings&) = default;
};

struct cleanup_settings {
  std::optional<duration> bounced_retention;
  std::optional<duration> deferred_retention;
  duration interval{};
  friend bool operator==(const cleanup_settings&, const cleanup_settings&) = default;
};

/// A table whose keys only a provider knows.
using provider_table = std::shared_ptr<const node>;

struct storage_settings {
  std::string storage_type; ///< name of the provider: "rocksdb", "fs"; load() turns "log" into "rocksdb"
  std::string base_path;
  std::string sha256; ///< of the provider's plugin; empty: not checked
  cleanup_settings cleanup;
  provider_table provider; ///< [storage.<storage_type>]; never null after load(), perhaps empty
};

struct queue_settings {
  std::uint64_t append_writers{}; ///< this and the next four mean nothing
  std::uint64_t segment_target_bytes{};
  double compaction_dead_ratio{};
  duration compaction_min_age{};
  std::uint64_t checkpoint_interval_bytes{};
  std::uint64_t pending_append_bytes{}; ///< bytes of messages not yet committed; 452 above
  std::uint64_t disk_reserve_bytes{};   ///< free space below which new mail gets 452
  std::uint32_t active_messages{};      ///< messages in memory for delivery
  std::uint64_t active_bytes{};         ///< bytes of bodies held in memory for delivery
  std::uint32_t ready_per_destination{};
  std::uint32_t retry_window{}; ///< deferred messages whose due time is held in memory
  std::uint64_t stage_above{};  ///< bytes of a body; a larger one goes to the store while it arrives
  friend bool operator==(const queue_settings&, const queue_settings&) = default;
};

/// One [[filters]] entry as Hedwig 0.10 has it, for the filter-domain provider.
struct domain_rule {
  filter_type type{};
  std::vector<std::string> domain; ///< "example.com" exactly, "*.example.com" subdomains; lower case
  filter_action action{};
  friend bool operator==(const domain_rule&, const domain_rule&) = default;
};

/// One [[auth]] or [[filters]] entry with `use`.
struct provider_settings {
  std::string use;  ///< name of the provider
  std::string name; ///< of this instance; unique in its list; `use` unless set
  duration call_timeout{};
  failure_action on_failure{};      ///< filters only
  std::uint32_t workers{};          ///< threads, for a provider that blocks
  std::uint32_t max_pending{};      ///< calls waiting for a thread
  std::uint32_t max_calls{};        ///< calls it owes an answer
  std::uint32_t breaker_failures{}; ///< in a row, after which it is not asked for a while; 0: never
  duration breaker_delay{};
  isolation_mode isolation{};
  std::string isolation_user; ///< empty: the relay's own
  std::string sha256;         ///< of the plugin's file, in hexadecimal digits; empty: not checked
  provider_table settings;    ///< the remaining keys; never null
};

struct route_settings {
  std::vector<std::string> domains; ///< patterns
  std::vector<endpoint> to;         ///< next hops in order; empty: by MX
  outbound_tls tls{};
  friend bool operator==(const route_settings&, const route_settings&) = default;
};

struct outbound_settings {
  std::uint16_t port{};
  bool paused{};
  outbound_tls tls{};  ///< of destinations without a route
  std::string ca_file; ///< empty: the system's
  bool ipv6{};
  std::string source_ipv4; ///< empty: the system's choice
  std::string source_ipv6;
  bool allow_private_mx{};
  duration connect_timeout{};
  duration command_timeout{};
  duration data_timeout{};  ///< of one write
  duration final_timeout{}; ///< for the reply to the final dot
  duration idle_timeout{};  ///< of a pooled connection
  std::uint32_t max_connections{};
  std::uint32_t max_recipients{}; ///< of one transaction
  std::uint32_t max_messages_per_connection{};
  std::uint32_t breaker_failures{}; ///< connection failures in a row after which a destination rests
  duration breaker_delay{};
  friend bool operator==(const outbound_settings&, const outbound_settings&) = default;
};

struct dns_settings {
  std::vector<endpoint> servers; ///< IP addresses; empty: the system's
  duration timeout{};
  std::uint32_t cache_entries{};
  std::uint32_t max_mx{};
  std::uint32_t max_pending{};
  friend bool operator==(const dns_settings&, const dns_settings&) = default;
};

struct retry_settings {
  duration initial_delay{};
  duration max_delay{};
  double jitter{}; ///< 0.1: a delay is up to a tenth longer or shorter
  duration expire_after{};
  friend bool operator==(const retry_settings&, const retry_settings&) = default;
};

struct dsn_settings {
  std::optional<duration> delay_warning;
  std::string from; ///< address of the header From; "MAILER-DAEMON@<hostname>" unless set
  dsn_return return_message{};
  std::uint64_t max_return_size{}; ///< bytes; a longer message goes back with its header alone
  friend bool operator==(const dsn_settings&, const dsn_settings&) = default;
};

struct admin_settings {
  std::string socket;   ///< empty: none
  std::uint32_t mode{}; ///< permission bits of the socket
  std::optional<endpoint> bind;
  std::uint32_t max_connections{};
  friend bool operator==(const admin_settings&, const admin_settings&) = default;
};

struct plugins_settings {
  std::vector<std::string> directories;
  friend bool operator==(const plugins_settings&, const plugins_settings&) = default;
};

struct log_settings {
  std::string level; ///< filter syntax: "info", "warn,session=debug"
  log_format format{};
  std::uint32_t queue_size{}; ///< lines waiting to be written
  friend bool operator==(const log_settings&, const log_settings&) = default;
};

struct process_settings {
  std::uint32_t io_loops{};          ///< threads; never 0 after load()
  std::uint32_t scheduler_threads{}; ///< never 0 after load()
  duration drain_timeout{};
  std::uint64_t message_memory{}; ///< bytes of messages in memory, whoever holds them
  duration message_memory_wait{}; ///< for room in it, before a message being received gets 452
  friend bool operator==(const process_settings&, const process_settings&) = default;
};

struct settings {
  server_settings server;
  storage_settings storage;
  queue_settings queue;
  std::vector<domain_rule> domain_rules;  ///< [[filters]] without `use`
  std::vector<provider_settings> filters; ///< [[filters]] with `use`, in order
  std::vector<provider_settings> auth;    ///< [[auth]], in order; server.auth comes before them
  std::vector<route_settings> routes;
  outbound_settings outbound;
  dns_settings dns;
  retry_settings retry;
  dsn_settings dsn;
  admin_settings admin;
  plugins_settings plugins;
  log_settings log;
  process_settings process;
};

/// The schema's defaults; host names are `machine_name`, there is no listener and no base_path.
[[nodiscard]] settings defaults(const std::string& machine_name = "localhost");
/// The defaults of one [[server.listeners]] entry.
[[nodiscard]] listener_settings default_listener();

} // namespace hedwig::config
