// SPDX-License-Identifier: Apache-2.0
// A constant table, exempt from the size rules: one entry a key, in the order in which the documents show them.
#include "runtime/config/schema.hpp"

#include <deque>

#include "runtime/config/read.hpp"

namespace hedwig::config {
namespace {

using detail::inside;
using detail::put;

template <auto... Members>
constexpr auto in_settings = &inside<&draft::settings, Members...>;

void collect_storage_table(void* owner, const member& from) {
  static_cast<draft*>(owner)->storage_tables.emplace(from.key, from.value);
}
void collect_auth_key(void* owner, const member& from) {
  auto& provider = *static_cast<provider_settings*>(owner);
  auto grown = provider.settings ? std::const_pointer_cast<node>(provider.settings) : std::make_shared<node>();
  grown->members.push_back(from);
  provider.settings = std::move(grown);
}
void collect_filter_key(void* owner, const member& from) {
  static_cast<filter_draft*>(owner)->extra.members.push_back(from);
}
void* storage_owner(void* owner) { return owner; } // keys of [storage] go to the draft itself

constexpr std::string_view byte_note = "the store of this program has no such part: remove the key";
constexpr double int_max = 2147483647;
constexpr double year = 365 * 86400.0;
constexpr double gib = 1073741824.0;
constexpr double tib = 1024 * gib;

constexpr schema_key table[] = {
    // [server]
    {"server", kind::table, "", "Who the relay is, whom it listens to, and the limits of taking mail.", required, 0, 0, {}, {}, nullptr, in_settings<&settings::server>},
    {"server.hostname", kind::hostname, "", "The relay's own name: in the banner, the Received field and generated Message-IDs. Default: the machine's name, else `localhost`.", 0, 0, 0, {}, {}, &put<&server_settings::hostname>},
    {"server.helo_hostname", kind::hostname, "", "The name given to next hops in EHLO; it should resolve to the sending address. Default: `server.hostname`.", reloadable, 0, 0, {}, {}, &put<&server_settings::helo_hostname>},
    {"server.workers", kind::integer, "1", "Delivery workers of Hedwig 0.10.", idle, 0, 4096, {}, "deliveries run side by side on their own: remove it, or see process.io_loops", &put<&server_settings::workers>},
    {"server.max_retries", kind::integer, "5", "Delivery attempts a recipient before giving up; whichever of this and `retry.expire_after` comes first.", reloadable, 1, 1000, {}, {}, &put<&server_settings::max_retries>},
    {"server.disable_outbound", kind::boolean, "false", "Accept mail and throw it away: for load tests of clients. Recipients count as dropped.", reloadable, 0, 0, {}, {}, &put<&server_settings::disable_outbound>},
    {"server.outbound_local", kind::boolean, "false", "Deliver everything in clear text, never with TLS.", 0, 0, 0, {}, {}, &put<&server_settings::outbound_local>},
    {"server.queue_buffer", kind::integer, "1000", "Buffer of the `fs` queue of Hedwig 0.10.", idle, 0, int_max, {}, "see queue.active_messages: remove it", &put<&server_settings::queue_buffer>},
    {"server.max_connections", kind::integer, "10000", "Client connections at one time, over all listeners; above it a client gets 421 4.7.0.", reloadable, 1, 1000000, {}, {}, &put<&server_settings::max_connections>},
    {"server.max_message_size", kind::size, "26214400", "Largest message taken, in bytes; announced with SIZE, above it 552 5.3.4.", reloadable, 1024, 16 * gib, {}, {}, &put<&server_settings::max_message_size>},
    {"server.cmd_timeout", kind::time, "\"5m\"", "Wait for a client's next command; then 421 4.4.2 (RFC 5321 section 4.5.3.2.7 asks for 5 minutes or more).", reloadable, 1, 86400, {}, {}, &put<&server_settings::cmd_timeout>},
    {"server.data_timeout", kind::time, "\"10m\"", "Time for the whole of a message after 354; then 421 4.4.2.", reloadable, 1, 86400, {}, {}, &put<&server_settings::data_timeout>},
    {"server.pool_size", kind::integer, "", "Old name of `server.smtp.cache_size`.", deprecated, 1, 1000000, {}, "write cache_size in [server.smtp]"},
    {"server.max_recipients", kind::integer, "1000", "Recipients of one transaction; above it 452 4.5.3 (RFC 5321 section 4.5.3.1.8 asks for 100 or more).", reloadable, 1, 100000, {}, {}, &put<&server_settings::max_recipients>},
    {"server.max_errors", kind::integer, "20", "Refused or unknown commands of one connection; then 421 4.7.0.", reloadable, 1, 1000000, {}, {}, &put<&server_settings::max_errors>},
    {"server.max_auth_failures", kind::integer, "3", "Failed AUTH commands of one connection; then 421 4.7.0.", reloadable, 1, 1000, {}, {}, &put<&server_settings::max_auth_failures>},
    {"server.max_received_fields", kind::integer, "50", "Received fields of a message; more of them means a loop, refused with 554 5.4.6.", reloadable, 10, 1000, {}, {}, &put<&server_settings::max_received_fields>},
    {"server.max_header_size", kind::size, "\"256KiB\"", "Bytes of a message's header; above it 552 5.3.4.", reloadable, 4096, 64 * 1048576.0, {}, {}, &put<&server_settings::max_header_size>},

    {"server.smtp", kind::table, "", "Connections to next hops.", 0, 0, 0, {}, {}, nullptr, &inside<&server_settings::smtp>},
    {"server.smtp.cache_size", kind::integer, "100", "Destinations whose connections are kept; the idle one unused longest goes first.", reloadable, 1, 1000000, {}, {}, &put<&pool_settings::cache_size>},
    {"server.smtp.min_idle", kind::integer, "2", "Idle connections kept to a destination that was used lately.", reloadable, 0, 1000, {}, {}, &put<&pool_settings::min_idle>},
    {"server.smtp.max_size", kind::integer, "10", "Connections to one destination at one time; raised to `min_idle` when lower.", reloadable, 1, 1000, {}, {}, &put<&pool_settings::max_size>},

    {"server.metrics", kind::table, "", "Metrics for Prometheus.", 0, 0, 0, {}, {}, nullptr, &inside<&server_settings::metrics>},
    {"server.metrics.bind", kind::bind_address, "", "Where GET /metrics is answered. Default: nowhere.", 0, 0, 0, {}, {}, &put<&metrics_settings::bind>},
    {"server.metrics.max_label_values", kind::integer, "1000", "Combinations of label values (such as domains) kept a metric; later ones count as `other`.", 0, 1, 1000000, {}, {}, &put<&metrics_settings::max_label_values>},

    {"server.health", kind::table, "", "Health for load balancers.", 0, 0, 0, {}, {}, nullptr, &inside<&server_settings::health>},
    {"server.health.bind", kind::bind_address, "", "Where GET and HEAD of /healthz and /readyz are answered. Default: nowhere.", 0, 0, 0, {}, {}, &put<&health_settings::bind>},

    {"server.listeners[]", kind::tables, "", "An address where clients connect. At least one.", required | not_empty, 0, 0, {}, {}, nullptr, &inside<&server_settings::listeners>},
    {"server.listeners[].name", kind::text, "", "Name in logs, metrics and the console. Default: the address.", not_empty, 0, 0, {}, {}, &put<&listener_settings::name>},
    {"server.listeners[].addr", kind::bind_address, "", "IP address and port. A socket that systemd hands over for the same address is used as it is.", required, 0, 0, {}, {}, &put<&listener_settings::addr>},
    {"server.listeners[].relay_from", kind::networks, R"(["127.0.0.0/8", "::1/128"])", "Client networks that may relay without AUTH; `[]` is nobody.", reloadable, 0, 0, {}, {}, &put<&listener_settings::relay_from>},
    {"server.listeners[].relay_domains", kind::patterns, "[]", "Recipient domains that anyone may send to: those this relay is the gateway of.", reloadable, 0, 0, {}, {}, &put<&listener_settings::relay_domains>},
    {"server.listeners[].require_auth", kind::boolean, "false", "Refuse MAIL with 530 5.7.0 until the client has authenticated, wherever it is: for submission.", reloadable, 0, 0, {}, {}, &put<&listener_settings::require_auth>},
    {"server.listeners[].allow_auth_in_clear", kind::boolean, "false", "Offer AUTH without TLS. Passwords can then be read on the way.", reloadable, 0, 0, {}, {}, &put<&listener_settings::allow_auth_in_clear>},
    {"server.listeners[].tls", kind::table, "", "TLS for this address. Default: none.", optional_table, 0, 0, {}, {}, nullptr, &inside<&listener_settings::tls>},
    {"server.listeners[].tls.cert_path", kind::path, "", "Certificate chain, PEM, the server's own first.", required | reloadable, 0, 0, {}, {}, &put<&tls_settings::cert_path>},
    {"server.listeners[].tls.key_path", kind::path, "", "Private key, PEM, not encrypted.", required | reloadable, 0, 0, {}, {}, &put<&tls_settings::key_path>},
    {"server.listeners[].tls.mode", kind::choice, "\"implicit\"", "`implicit` starts with TLS (port 465), `starttls` offers it (ports 25 and 587).", 0, 0, 0, "implicit|starttls", {}, &put<&tls_settings::mode>},

    {"server.auth[]", kind::table_or_tables, "", "A user who may relay after AUTH. Also read as one table, `[server.auth]`. For other directories see `[[auth]]`.", reloadable, 0, 0, {}, {}, nullptr, &inside<&server_settings::auth>},
    {"server.auth[].username", kind::text, "", "Name, compared byte by byte.", required | not_empty | reloadable, 0, 0, {}, {}, &put<&auth_user::username>},
    {"server.auth[].password", kind::secret, "", "A hash (`$argon2id$...`, `$2b$...`) or, with a warning at start, plain text.", required | not_empty | reloadable, 0, 0, {}, {}, &put<&auth_user::password>},

    {"server.dkim[]", kind::table_or_tables, "", "A DKIM key. Also read as one table, `[server.dkim]`. Every key whose `domains` match the sender signs, so two keys give two signatures.", reloadable, 0, 0, {}, {}, nullptr, &inside<&server_settings::dkim>},
    {"server.dkim[].domain", kind::hostname, "", "Signing domain (d=).", required | reloadable, 0, 0, {}, {}, &put<&dkim_settings::domain>},
    {"server.dkim[].selector", kind::hostname, "", "Selector (s=).", required | reloadable, 0, 0, {}, {}, &put<&dkim_settings::selector>},
    {"server.dkim[].private_key", kind::path, "", "Key file: PKCS#8 or PKCS#1 PEM, not encrypted. `hedwig dkim-generate` makes one.", required | reloadable, 0, 0, {}, {}, &put<&dkim_settings::private_key>},
    {"server.dkim[].key_type", kind::choice, "\"rsa\"", "Kind of key in the file.", reloadable, 0, 0, "rsa|ed25519", {}, &put<&dkim_settings::key_type>},
    {"server.dkim[].domains", kind::patterns, "", "Sender domains that this key signs for. Default: `domain` and its subdomains.", reloadable | not_empty, 0, 0, {}, {}, &put<&dkim_settings::domains>},
    {"server.dkim[].headers", kind::texts, "[]", "Header fields to sign; `[]` is a safe list that also signs the absence of further From, To, Subject and the like.", reloadable, 0, 0, {}, {}, &put<&dkim_settings::headers>},
    {"server.dkim[].expire_after", kind::time_or_off, "\"14d\"", "Life of a signature (x=); longer than `retry.expire_after`, or `off`.", reloadable, 3600, 10 * year, {}, {}, &put<&dkim_settings::expire_after>},

    {"server.rate_limits", kind::table, "", "Messages a minute to one recipient domain, with a burst of the same size.", 0, 0, 0, {}, {}, nullptr, &inside<&server_settings::rate_limits>},
    {"server.rate_limits.enabled", kind::boolean, "false", "Apply the limits.", reloadable, 0, 0, {}, {}, &put<&rate_limit_settings::enabled>},
    {"server.rate_limits.default_limit", kind::integer, "", "Limit of domains without their own; 0 is unlimited. Default: unlimited.", reloadable, 0, int_max, {}, {}, &put<&rate_limit_settings::default_limit>},
    {"server.rate_limits.domain_limits", kind::limits, "", "Limits by domain: `\"example.com\" = 60`; 0 is unlimited.", reloadable, 0, int_max, {}, {}, &put<&rate_limit_settings::domain_limits>},

    // [storage]
    {"storage", kind::table, "", "Where mail is kept. A further table named like the provider, such as `[storage.rocksdb]`, holds the provider's own keys.", required | open_ended, 0, 0, {}, {}, nullptr, &storage_owner, &collect_storage_table},
    {"storage.storage_type", kind::text, "\"rocksdb\"", "The storage provider: `rocksdb`, or `fs`, which keeps a file a message and reads the `fs` spool of Hedwig 0.10. `log` is read as `rocksdb`, with a warning.", not_empty, 0, 0, {}, {}, &put<&draft::settings, &settings::storage, &storage_settings::storage_type>},
    {"storage.base_path", kind::path, "", "Folder of the spool. One running relay a folder.", required, 0, 0, {}, {}, &put<&draft::settings, &settings::storage, &storage_settings::base_path>},
    {"storage.cleanup", kind::table, "", "What is deleted by age.", 0, 0, 0, {}, {}, nullptr, in_settings<&settings::storage, &storage_settings::cleanup>},
    {"storage.cleanup.bounced_retention", kind::time_or_off, "\"off\"", "Age at which a message given up is deleted; `off` keeps it.", reloadable, 0, 100 * year, {}, {}, &put<&cleanup_settings::bounced_retention>},
    {"storage.cleanup.deferred_retention", kind::time_or_off, "\"off\"", "Age at which Hedwig 0.10 deleted deferred mail.", idle, 0, 100 * year, {}, "deferred mail is never deleted unseen; retry.expire_after says when it bounces: remove it", &put<&cleanup_settings::deferred_retention>},
    {"storage.cleanup.interval", kind::time, "\"1h\"", "Time between two clean-ups; the first is at the start.", reloadable, 1, year, {}, {}, &put<&cleanup_settings::interval>},

    // [queue]
    {"queue", kind::table, "", "How much mail is held in memory.", 0, 0, 0, {}, {}, nullptr, in_settings<&settings::queue>},
    {"queue.append_writers", kind::integer, "1", "Shards of the log of Hedwig 0.10.", idle, 0, 4096, {}, byte_note, &put<&queue_settings::append_writers>},
    {"queue.pending_append_bytes", kind::size, "134217728", "Bytes of messages received and not yet committed; above it new mail gets 452 4.3.1.", reloadable, 65536, tib, {}, {}, &put<&queue_settings::pending_append_bytes>},
    {"queue.segment_target_bytes", kind::size, "67108864", "Segment size of the log of Hedwig 0.10.", idle, 0, 0, {}, byte_note, &put<&queue_settings::segment_target_bytes>},
    {"queue.compaction_dead_ratio", kind::real, "0.5", "Compaction of the log of Hedwig 0.10.", idle, 0, 1, {}, byte_note, &put<&queue_settings::compaction_dead_ratio>},
    {"queue.compaction_min_age", kind::time, "\"60s\"", "Compaction of the log of Hedwig 0.10.", idle, 0, 0, {}, byte_note, &put<&queue_settings::compaction_min_age>},
    {"queue.disk_reserve_bytes", kind::size, "1073741824", "Free space of the spool's file system below which new mail gets 452 4.3.1. Deliveries go on.", reloadable, 0, 1024 * tib, {}, {}, &put<&queue_settings::disk_reserve_bytes>},
    {"queue.checkpoint_interval_bytes", kind::size, "8388608", "Checkpoints of the log of Hedwig 0.10.", idle, 0, 0, {}, byte_note, &put<&queue_settings::checkpoint_interval_bytes>},
    {"queue.active_messages", kind::integer, "20000", "Messages in memory for delivery; the rest waits in the store.", reloadable, 1, 10000000, {}, {}, &put<&queue_settings::active_messages>},
    {"queue.active_bytes", kind::size, "\"256MiB\"", "Bytes of message bodies in memory for delivery; others are read from the store when their turn comes.", reloadable, 65536, tib, {}, {}, &put<&queue_settings::active_bytes>},
    {"queue.ready_per_destination", kind::integer, "1000", "Messages waiting in memory for one destination, so that a slow one does not fill `active_messages`.", reloadable, 1, 1000000, {}, {}, &put<&queue_settings::ready_per_destination>},
    {"queue.retry_window", kind::integer, "10000", "Deferred messages whose due time is in memory.", reloadable, 1, 10000000, {}, {}, &put<&queue_settings::retry_window>},

    // [[filters]], [[auth]]
    {"filters[]", kind::tables, "", "A filter. With `type` it is a rule on domains as Hedwig 0.10 has it: `deny` rules first; any `allow` rule makes the list of its type exclusive. With `use` it is a provider of a plugin, and further keys are the provider's own.", open_ended, 0, 0, {}, {}, nullptr, &inside<&draft::filters>, &collect_filter_key},
    {"filters[].type", kind::choice, "", "Which address a domain rule looks at.", reloadable, 0, 0, "from_domain_filter|to_domain_filter", {}, &put<&filter_draft::type>},
    {"filters[].domain", kind::patterns, "", "Domains of the rule.", not_empty | reloadable, 0, 0, {}, {}, &put<&filter_draft::rule, &domain_rule::domain>},
    {"filters[].action", kind::choice, "\"allow\"", "What the rule does.", reloadable, 0, 0, "allow|deny", {}, &put<&filter_draft::rule, &domain_rule::action>},
    {"filters[].use", kind::text, "", "Name of a filter provider.", not_empty, 0, 0, {}, {}, &put<&filter_draft::provider, &provider_settings::use>},
    {"filters[].name", kind::text, "", "Name of this instance in logs and metrics. Default: `use`.", not_empty, 0, 0, {}, {}, &put<&filter_draft::provider, &provider_settings::name>},
    {"filters[].call_timeout", kind::time, "\"30s\"", "Time for one answer of the provider; then `on_failure`.", reloadable, 0.01, 3600, {}, {}, &put<&filter_draft::provider, &provider_settings::call_timeout>},
    {"filters[].on_failure", kind::choice, "\"tempfail\"", "What a provider that fails or is late counts as: `tempfail` (451), `proceed` (as if it were not there), `reject` (554).", reloadable, 0, 0, "tempfail|proceed|reject", {}, &put<&filter_draft::provider, &provider_settings::on_failure>},
    {"filters[].workers", kind::integer, "4", "Threads for a provider that blocks.", 0, 1, 1024, {}, {}, &put<&filter_draft::provider, &provider_settings::workers>},
    {"filters[].max_pending", kind::integer, "1000", "Calls waiting for a thread; above it 451.", 0, 1, 1000000, {}, {}, &put<&filter_draft::provider, &provider_settings::max_pending>},

    {"auth[]", kind::tables, "", "A directory of users from a plugin, asked in order after `[[server.auth]]`. Further keys are the provider's own.", open_ended, 0, 0, {}, {}, nullptr, in_settings<&settings::auth>, &collect_auth_key},
    {"auth[].use", kind::text, "", "Name of an auth provider.", required | not_empty, 0, 0, {}, {}, &put<&provider_settings::use>},
    {"auth[].name", kind::text, "", "Name of this instance in logs and metrics. Default: `use`.", not_empty, 0, 0, {}, {}, &put<&provider_settings::name>},
    {"auth[].call_timeout", kind::time, "\"30s\"", "Time for one answer of the provider; then 454 4.7.0.", reloadable, 0.01, 3600, {}, {}, &put<&provider_settings::call_timeout>},
    {"auth[].workers", kind::integer, "4", "Threads for a provider that blocks.", 0, 1, 1024, {}, {}, &put<&provider_settings::workers>},
    {"auth[].max_pending", kind::integer, "1000", "Calls waiting for a thread; above it 454 4.7.0.", 0, 1, 1000000, {}, {}, &put<&provider_settings::max_pending>},

    // [[routes]], [outbound], [dns]
    {"routes[]", kind::tables, "", "Where mail for some domains goes. The first match wins; without one mail goes by MX.", reloadable, 0, 0, {}, {}, nullptr, in_settings<&settings::routes>},
    {"routes[].domains", kind::patterns, "", "Recipient domains: `\"example.com\"`, `\"*.example.com\"` (subdomains), `\"*\"`.", required | not_empty | reloadable, 0, 0, {}, {}, &put<&route_settings::domains>},
    {"routes[].to", kind::next_hops, "[]", "Next hops in order: `\"host\"`, `\"host:port\"`, `\"[2001:db8::1]:25\"`; port 25 unless given. Absent: by MX.", reloadable, 0, 0, {}, {}, &put<&route_settings::to>},
    {"routes[].tls", kind::choice, "\"opportunistic\"", "`none`, `opportunistic`, `require` (encrypt), `verify` (and check the name).", reloadable, 0, 0, "none|opportunistic|require|verify", {}, &put<&route_settings::tls>},

    {"outbound", kind::table, "", "How mail leaves.", 0, 0, 0, {}, {}, nullptr, in_settings<&settings::outbound>},
    {"outbound.port", kind::integer, "25", "Port of hosts found by MX.", reloadable, 1, 65535, {}, {}, &put<&outbound_settings::port>},
    {"outbound.paused", kind::boolean, "false", "Take mail and deliver nothing until `hedwig-admin resume`.", 0, 0, 0, {}, {}, &put<&outbound_settings::paused>},
    {"outbound.tls", kind::choice, "\"opportunistic\"", "TLS to hosts found by MX for domains without a route; the words of `routes.tls`.", reloadable, 0, 0, "none|opportunistic|require|verify", {}, &put<&outbound_settings::tls>},
    {"outbound.ca_file", kind::path, "", "Certificates of authorities that `verify` trusts, PEM. Default: the system's.", reloadable, 0, 0, {}, {}, &put<&outbound_settings::ca_file>},
    {"outbound.ipv6", kind::boolean, "true", "Use the IPv6 addresses of next hops.", reloadable, 0, 0, {}, {}, &put<&outbound_settings::ipv6>},
    {"outbound.source_ipv4", kind::ip_address, "", "Address that connections over IPv4 come from. Default: the system's choice.", reloadable, 4, 4, {}, {}, &put<&outbound_settings::source_ipv4>},
    {"outbound.source_ipv6", kind::ip_address, "", "Address that connections over IPv6 come from. Default: the system's choice.", reloadable, 16, 16, {}, {}, &put<&outbound_settings::source_ipv6>},
    {"outbound.allow_private_mx", kind::boolean, "false", "Follow MX records to loopback and private addresses. Routes may always name such hosts, and a lab may too: where outbound.port is not 25, or every server in dns.servers is on loopback with a port other than 53.", reloadable, 0, 0, {}, {}, &put<&outbound_settings::allow_private_mx>},
    {"outbound.connect_timeout", kind::time, "\"30s\"", "Time for a connection and TLS handshake with one address.", reloadable, 0.1, 3600, {}, {}, &put<&outbound_settings::connect_timeout>},
    {"outbound.command_timeout", kind::time, "\"5m\"", "Wait for the greeting and for replies to commands (RFC 5321 section 4.5.3.2).", reloadable, 1, 86400, {}, {}, &put<&outbound_settings::command_timeout>},
    {"outbound.data_timeout", kind::time, "\"3m\"", "Time without progress while a message is written.", reloadable, 1, 86400, {}, {}, &put<&outbound_settings::data_timeout>},
    {"outbound.final_timeout", kind::time, "\"10m\"", "Wait for the reply to the final dot.", reloadable, 1, 86400, {}, {}, &put<&outbound_settings::final_timeout>},
    {"outbound.idle_timeout", kind::time, "\"10s\"", "Life of an idle connection in the pool.", reloadable, 0, 3600, {}, {}, &put<&outbound_settings::idle_timeout>},
    {"outbound.max_connections", kind::integer, "2000", "Connections to next hops at one time, over all destinations.", reloadable, 1, 100000, {}, {}, &put<&outbound_settings::max_connections>},
    {"outbound.max_recipients", kind::integer, "1000", "Recipients of one transaction with a next hop.", reloadable, 1, 100000, {}, {}, &put<&outbound_settings::max_recipients>},
    {"outbound.max_messages_per_connection", kind::integer, "1000", "Transactions on one connection; then a new one is made.", reloadable, 1, 10000000, {}, {}, &put<&outbound_settings::max_messages_per_connection>},
    {"outbound.breaker_failures", kind::integer, "5", "Connections in a row that failed, after which a destination rests.", reloadable, 1, 100000, {}, {}, &put<&outbound_settings::breaker_failures>},
    {"outbound.breaker_delay", kind::time, "\"1m\"", "How long it rests.", reloadable, 0, 86400, {}, {}, &put<&outbound_settings::breaker_delay>},

    {"dns", kind::table, "", "Looking up next hops.", 0, 0, 0, {}, {}, nullptr, in_settings<&settings::dns>},
    {"dns.servers", kind::dns_servers, "[]", "Resolvers: `\"address\"` or `\"address:port\"`, port 53 unless given. Default: the system's.", 0, 0, 0, {}, {}, &put<&dns_settings::servers>},
    {"dns.timeout", kind::time, "\"15s\"", "Time for one answer; later is a temporary failure.", 0, 0.1, 300, {}, {}, &put<&dns_settings::timeout>},
    {"dns.cache_entries", kind::integer, "10000", "Answers remembered.", 0, 1, 10000000, {}, {}, &put<&dns_settings::cache_entries>},
    {"dns.max_mx", kind::integer, "20", "MX hosts of a domain that are considered, in the order of preference.", 0, 1, 1000, {}, {}, &put<&dns_settings::max_mx>},
    {"dns.max_pending", kind::integer, "1000", "Look-ups at one time; more wait.", 0, 1, 100000, {}, {}, &put<&dns_settings::max_pending>},

    // [retry], [dsn]
    {"retry", kind::table, "", "When a deferred recipient is tried again.", 0, 0, 0, {}, {}, nullptr, in_settings<&settings::retry>},
    {"retry.initial_delay", kind::time, "\"60s\"", "Delay after the first failure; it doubles with each further one.", reloadable, 1, 7 * 86400.0, {}, {}, &put<&retry_settings::initial_delay>},
    {"retry.max_delay", kind::time, "\"24h\"", "Longest delay.", reloadable, 1, 30 * 86400.0, {}, {}, &put<&retry_settings::max_delay>},
    {"retry.jitter", kind::real, "0.1", "Random part of a delay: 0.1 is up to a tenth more or less.", reloadable, 0, 1, {}, {}, &put<&retry_settings::jitter>},
    {"retry.expire_after", kind::time, "\"5d\"", "Age at which a message is given up; whichever of this and `server.max_retries` comes first.", reloadable, 1, year, {}, {}, &put<&retry_settings::expire_after>},

    {"dsn", kind::table, "", "Notifications to senders (RFC 3464). None is ever sent to the null sender.", 0, 0, 0, {}, {}, nullptr, in_settings<&settings::dsn>},
    {"dsn.delay_warning", kind::time_or_off, "\"off\"", "Age at which the sender is told once that a message is late.", reloadable, 60, year, {}, {}, &put<&dsn_settings::delay_warning>},
    {"dsn.from", kind::text, "", "Address in the From field of notifications. Default: `MAILER-DAEMON@` and `server.hostname`.", reloadable | not_empty, 0, 0, {}, {}, &put<&dsn_settings::from>},
    {"dsn.return_message", kind::choice, "\"headers\"", "What of the message goes back: `headers` or `full`.", reloadable, 0, 0, "headers|full", {}, &put<&dsn_settings::return_message>},

    // [admin], [plugins], [log], [process]
    {"admin", kind::table, "", "The API that hedwig-admin uses: HTTP, whose access control is that of the socket file.", 0, 0, 0, {}, {}, nullptr, in_settings<&settings::admin>},
    {"admin.socket", kind::path, "\"/run/hedwig/admin.sock\"", "Unix socket; an empty text makes none.", 0, 0, 0, {}, {}, &put<&admin_settings::socket>},
    {"admin.mode", kind::octal_mode, "\"0660\"", "Permissions of the socket file: who may write to it may do everything.", 0, 0, 0, {}, {}, &put<&admin_settings::mode>},
    {"admin.bind", kind::bind_address, "", "Adds TCP, without any authentication. Default: none.", 0, 0, 0, {}, {}, &put<&admin_settings::bind>},
    {"admin.max_connections", kind::integer, "16", "Connections at one time.", 0, 1, 1000, {}, {}, &put<&admin_settings::max_connections>},

    {"plugins", kind::table, "", "Plugins run with the relay's privileges.", 0, 0, 0, {}, {}, nullptr, in_settings<&settings::plugins>},
    {"plugins.directories", kind::paths, R"(["/usr/lib/hedwig/plugins"])", "Folders that plugins are loaded from, and nowhere else; neither folder nor file may be writable by others.", not_empty, 0, 0, {}, {}, &put<&plugins_settings::directories>},

    {"log", kind::table, "", "Lines on standard output. The environment variable HEDWIG_LOG_LEVEL wins over `level`.", 0, 0, 0, {}, {}, nullptr, in_settings<&settings::log>},
    {"log.level", kind::log_filter, "\"info\"", "`trace`, `debug`, `info`, `warn`, `error` or `off`, and exceptions by component: `warn,session=debug`.", reloadable, 0, 0, {}, {}, &put<&log_settings::level>},
    {"log.format", kind::choice, "\"fmt\"", "`fmt` (also written `text`) for people, `json` for machines.", 0, 0, 0, "fmt|json|text", {}, &put<&log_settings::format>},
    {"log.queue_size", kind::integer, "8192", "Lines waiting to be written; above it lines of level info and below are dropped and counted.", 0, 16, 1000000, {}, {}, &put<&log_settings::queue_size>},

    {"process", kind::table, "", "Threads and the end of the process.", 0, 0, 0, {}, {}, nullptr, in_settings<&settings::process>},
    {"process.io_loops", kind::integer, "0", "Threads for connections; 0 is one a processor.", 0, 0, 256, {}, {}, &put<&process_settings::io_loops>},
    {"process.scheduler_threads", kind::integer, "0", "Threads for everything else; 0 is one a processor, at least 2.", 0, 0, 256, {}, {}, &put<&process_settings::scheduler_threads>},
    {"process.drain_timeout", kind::time, "\"30s\"", "After SIGTERM: time for transactions and deliveries in progress to end.", reloadable, 0, 3600, {}, {}, &put<&process_settings::drain_timeout>},
};

/// The defaults as nodes, in the order of the table; an empty optional where a key has none.
std::deque<std::optional<node>> parsed_fallbacks() {
  std::deque<std::optional<node>> out;
  for (const auto& key : table) {
    auto& made = out.emplace_back();
    if (key.fallback.empty())
      continue;
    auto read = read_toml("v = " + std::string{key.fallback}, std::string{key.path});
    if (!read)
      panic("a default of the schema is not TOML: " + read.error().text());
    made = read->members.front().value;
  }
  return out;
}

} // namespace

std::span<const schema_key> schema() noexcept { return table; }

const node* fallback_of(const schema_key& key) {
  static const auto nodes = parsed_fallbacks();
  const auto& found = nodes[static_cast<std::size_t>(&key - table)];
  return found ? &*found : nullptr;
}

} // namespace hedwig::config
