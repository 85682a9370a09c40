// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <array>

#include "runtime/telemetry/metrics.hpp"

namespace hedwig::telemetry {
namespace {

using enum metric_type;

// Seconds: commits and signatures are fast, connections and whole deliveries are not.
constexpr std::array short_seconds{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                   0.1,    0.25,  0.5,    1.0,   2.5,  5.0,   10.0};
// A call inside the process takes microseconds, a directory milliseconds.
constexpr std::array call_seconds{0.000005, 0.00002, 0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                  0.05,     0.1,     0.25,   0.5,    1.0,   2.5,    5.0,   10.0};
constexpr std::array long_seconds{0.005, 0.01, 0.025, 0.05, 0.1,  0.25,  0.5,  1.0,
                                  2.5,   5.0,  10.0,  30.0, 60.0, 300.0, 600.0};
constexpr std::array group_sizes{1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0};

// A constant table: one line a metric, exempt from the size rules.
// WARNING: names, types and labels are read by dashboards; the first two groups are those of Hedwig 0.10.
constexpr metric_info catalogue[] = {
    {"hedwig_queue_depth", gauge, "Messages accepted and not yet delivered, bounced or deleted."},
    {"hedwig_retry_attempts_total", counter, "Delivery attempts that were not a message's first."},
    {"hedwig_connection_pool_entries", gauge, "Open connections to next hops, in use or idle."},
    {"hedwig_dkim_signing_latency_seconds",
     histogram,
     "Time to sign one message with all its keys.",
     {},
     {},
     short_seconds},
    {"hedwig_emails_received_total", counter, "Messages acknowledged with 250 after a durable commit."},
    {"hedwig_emails_sent_total", counter, "Recipients whose next hop accepted the message."},
    {"hedwig_emails_deferred_total", counter, "Recipients put off after a temporary failure, each time it happens."},
    {"hedwig_emails_bounced_total", counter, "Recipients given up for good."},
    {"hedwig_emails_dropped_total", counter,
     "Recipients discarded because server.disable_outbound is set, or because a filter said so."},
    {"hedwig_worker_jobs_processed_total", counter, "Messages whose delivery attempt ended, whatever the outcome."},
    {"hedwig_worker_job_duration_seconds",
     histogram,
     "Time from a message's dispatch to the end of the attempt.",
     {},
     {},
     long_seconds},
    {"hedwig_send_latency_seconds",
     histogram,
     "Time of one transaction with a next hop, from MAIL to the last reply.",
     "domain",
     {},
     long_seconds},
    {"hedwig_send_attempts_total", counter, "Attempts a recipient, by outcome: success, failure, deferred.", "domain",
     "status"},
    {"hedwig_mta_sts_policy_fetch_total", counter, "MTA-STS policies fetched.", "result", {}, {}, true},
    {"hedwig_mta_sts_enforcement_total", counter, "Deliveries under an MTA-STS policy.", "mode", "result", {}, true},
    {"hedwig_mta_sts_cache_size", gauge, "MTA-STS policies remembered.", {}, {}, {}, true},

    {"logqueue_append_duration_seconds",
     histogram,
     "Time from handing a message to the store until it is durable.",
     "shard",
     {},
     short_seconds},
    {"logqueue_pending_append_bytes", gauge,
     "Bytes of messages received and not yet committed; the limit is queue.pending_append_bytes."},
    {"logqueue_records_appended_total", counter, "Messages committed.", "shard"},
    {"logqueue_bytes_appended_total", counter, "Bytes of messages committed.", "shard"},
    {"logqueue_append_errors_total", counter, "Messages that the store refused or failed to commit.", "shard"},
    {"logqueue_active_segment_bytes", gauge, "Bytes in the segment being written.", "shard", {}, {}, true},
    {"logqueue_segment_rotations_total", counter, "Segments closed.", "shard", {}, {}, true},
    {"logqueue_ready_jobs", gauge, "Messages that wait for their first attempt."},
    {"logqueue_deferred_jobs", gauge, "Messages that wait for another attempt."},
    {"logqueue_inflight_jobs", gauge, "Messages in delivery."},
    {"logqueue_dispatcher_lag_bytes",
     gauge,
     "Bytes written and not yet read by the dispatcher.",
     "shard",
     {},
     {},
     true},
    {"logqueue_oldest_ready_age_seconds", gauge,
     "How long ago the first of the messages without a finished attempt fell due; 0 without one."},
    {"logqueue_oldest_deferred_age_seconds", gauge,
     "How long the most overdue deferred message has been due; 0 while none is."},
    {"logqueue_live_bytes", gauge, "Bytes of the bodies of stored messages."},
    {"logqueue_dead_bytes", gauge, "Bytes of removed messages not yet reclaimed.", {}, {}, {}, true},
    {"logqueue_sealed_segments", gauge, "Segments closed and not yet deleted.", {}, {}, {}, true},
    {"logqueue_segments_deleted_total", counter, "Segments deleted.", {}, {}, {}, true},
    {"logqueue_compactions_total", counter, "Compactions.", "outcome", {}, {}, true},
    {"logqueue_compaction_bytes_total", counter, "Bytes read and written by compaction.", "direction", {}, {}, true},
    {"logqueue_relocations_total", counter, "Records moved by compaction.", {}, {}, {}, true},
    {"logqueue_disk_free_bytes", gauge,
     "Free space where the spool is; below queue.disk_reserve_bytes new mail gets 452."},

    {"hedwig_build_info", gauge, "Always 1; the label says which version runs.", "version"},
    {"hedwig_start_time_seconds", gauge, "When the process started, in seconds since 1970."},
    {"hedwig_ready", gauge, "1 while new mail is taken, 0 while starting, stopping or out of space."},
    {"hedwig_paused", gauge, "1 while deliveries are paused."},
    {"hedwig_reloads_total", counter, "Configuration reloads, by result: applied, refused.", "result"},
    {"hedwig_resident_memory_bytes", gauge, "Memory of the process that is in RAM."},
    {"hedwig_open_descriptors", gauge, "Open file descriptors of the process."},
    {"hedwig_message_memory_bytes", gauge, "Bytes of message bodies in memory."},
    {"hedwig_memory_used_bytes", gauge,
     "Bytes of process.message_memory, by who holds them: sessions, spooler, caches, deliveries.", "user"},
    {"hedwig_memory_limit_bytes", gauge, "process.message_memory."},
    {"hedwig_memory_peak_bytes", gauge, "Most bytes of process.message_memory in use since the start."},
    {"hedwig_staged_bodies", gauge, "Messages that go to the store while they arrive."},
    {"hedwig_log_lines_dropped_total", counter,
     "Log lines of level info and below that found the queue of the log full."},
    {"hedwig_limit_hits_total", counter, "Times that a limit was reached, by the limit's name in the configuration.",
     "limit"},

    {"hedwig_connections", gauge, "Open client connections; the limit is server.max_connections.", "listener"},
    {"hedwig_connections_accepted_total", counter, "Client connections taken.", "listener"},
    {"hedwig_connections_refused_total", counter, "Client connections refused, by reason.", "listener", "reason"},
    {"hedwig_connections_shed_total", counter,
     "Sessions of strangers ended with 421 4.3.2 to make room for others at server.max_connections.", "listener"},
    {"hedwig_smtp_replies_total", counter, "Replies given to clients, by their code.", "code"},
    {"hedwig_smtp_refusals_total", counter,
     "Replies with 4xx and 5xx given to clients, by why: the reasons are listed in docs/operations.md.", "reason"},
    {"hedwig_received_bytes_total", counter, "Bytes of acknowledged messages."},
    {"hedwig_recipients_accepted_total", counter, "Recipients of acknowledged messages."},
    {"hedwig_messages_refused_total", counter,
     "Refusals by policy at any stage of a transaction: sender, from, user, relay, filter, header, memory, store.",
     "reason"},
    {"hedwig_accept_seconds", histogram, "Time from the final dot to the 250.", {}, {}, short_seconds},
    {"hedwig_tls_handshakes_total", counter, "TLS handshakes, by direction (in, out) and result.", "direction",
     "result"},
    {"hedwig_tls_resumed_total", counter, "TLS handshakes that took up a session of before, by direction.",
     "direction"},
    {"hedwig_tls_handshakes_running", gauge,
     "TLS handshakes of clients under way; the limit is server.tls.max_handshakes."},
    {"hedwig_tls_handshakes_waiting", gauge,
     "TLS handshakes of clients that wait for their turn; the limit is server.tls.max_waiting_handshakes."},
    {"hedwig_tls_handshakes_delayed_total", counter, "TLS handshakes of clients that had to wait for their turn."},
    {"hedwig_tls_ticket_keys_total", counter, "Keys made to seal session tickets with."},
    {"hedwig_tls_certificate_expires_seconds", gauge,
     "When a certificate of a listener expires, in seconds since 1970; 0 for one that is in use no longer.", "file"},
    {"hedwig_tls_certificate_reloads_total", counter,
     "Times that certificates were read again because a file had changed, by result: applied, refused.", "result"},
    {"hedwig_auth_attempts_total", counter, "AUTH commands, by mechanism and result.", "mechanism", "result"},

    {"hedwig_commit_group_size",
     histogram,
     "PUTs, MOVEs and REMOVEs that one durable commit carried.",
     {},
     {},
     group_sizes},
    {"hedwig_store_requests_in_flight", gauge, "Requests handed to the store and not yet completed."},
    {"hedwig_store_requests_waiting", gauge, "Requests that wait because the store's own limit is reached."},
    {"hedwig_active_messages", gauge, "Messages in memory for delivery; the limit is queue.active_messages."},
    {"hedwig_destinations", gauge, "Destinations known; the limit is server.smtp.cache_size."},
    {"hedwig_destinations_resting", gauge, "Destinations not tried for now because connections kept failing."},
    {"hedwig_delivery_connections_total", counter, "Connections to next hops, by result.", "result"},
    {"hedwig_outcomes_unknown_total", counter,
     "Recipients whose connection broke between the final dot and its reply; they are tried again."},
    {"hedwig_retry_window", gauge, "Deferred messages whose due time is in memory; the limit is queue.retry_window."},
    {"hedwig_dsn_total", counter, "Delivery status notifications made, by kind: failed, delayed, relayed.", "kind"},
    {"hedwig_dns_lookups_total", counter, "DNS look-ups, by type (mx, address) and result.", "type", "result"},
    {"hedwig_dns_lookup_seconds",
     histogram,
     "Time of DNS queries that the cache could not answer; A and AAAA are two.",
     {},
     {},
     long_seconds},
    {"hedwig_dns_cache_entries", gauge, "DNS answers remembered; the limit is dns.cache_entries."},
    {"hedwig_dkim_signatures_total", counter,
     "DKIM signatures by algorithm and result, and messages that could not be signed as none, failed.", "algorithm",
     "result"},

    {"hedwig_filter_verdicts_total", counter, "Answers of filters to their hooks; failed: no usable one.", "filter",
     "verdict"},
    {"hedwig_provider_calls_total", counter,
     "Calls of plugin providers that ended, by status: ok, failed, timeout, busy (too many), refused (not made, the "
     "breaker is open).",
     "provider", "status"},
    {"hedwig_provider_call_seconds",
     histogram,
     "Time from the call of a plugin provider to its answer, late ones included.",
     "provider",
     {},
     call_seconds},
    {"hedwig_provider_calls_pending", gauge,
     "Calls waiting for a worker thread; the limit is max_pending of the provider.", "provider"},
    {"hedwig_provider_calls_in_flight", gauge,
     "Calls that a provider owes an answer, those included that were given up.", "provider"},
    {"hedwig_provider_calls_limit", gauge, "The most of them: max_calls of the provider.", "provider"},
    {"hedwig_provider_faults_total", counter,
     "What providers did wrong, by kind: malformed (an answer that cannot be used), late (after its deadline), false "
     "(to "
     "a call that is not open).",
     "provider", "kind"},
    {"hedwig_provider_breaker_state", gauge, "0 closed, 1 open: the provider is not asked, 2 one call tries it.",
     "provider"},
    {"hedwig_provider_process_deaths_total", counter,
     "How often the process of an isolated provider died or was ended.", "provider"},
    {"hedwig_provider_breaker_opened_total", counter, "How often the breaker of a provider opened.", "provider"},
    {"hedwig_plugin_events_total", counter, "What plugins count themselves; see the page of each.", "provider", "name"},
    {"hedwig_plugin_value", gauge, "What plugins measure themselves; see the page of each.", "provider", "name"},
    {"hedwig_plugin_seconds", histogram, "What plugins time themselves; see the page of each.", "provider", "name",
     call_seconds},
    {"hedwig_actor_restarts_total", counter, "Actors started again after a failure, by kind.", "actor"},
    {"hedwig_actors", gauge, "Living actors, by kind.", "actor"},
};

std::string_view type_name(metric_type type) {
  switch (type) {
  case counter:
    return "counter";
  case gauge:
    return "gauge";
  case histogram:
    break;
  }
  return "histogram";
}

} // namespace

std::span<const metric_info> metric_catalogue() noexcept { return catalogue; }

std::string metrics_markdown() {
  std::string out = "# Metrics\n\n"
                    "GET /metrics on `server.metrics.bind` answers these in the Prometheus text format. This page is "
                    "printed from the\n"
                    "catalogue in runtime/telemetry/metric_catalogue.cpp, and a test compares the two. Label values "
                    "are bounded a metric\n"
                    "(`server.metrics.max_label_values`); what comes later is counted under `other`.\n\n"
                    "| Name | Type | Labels | Meaning |\n|---|---|---|---|\n";
  for (const auto& info : catalogue) {
    std::string labels{info.label_1};
    if (!info.label_2.empty())
      labels.append(", ").append(info.label_2);
    out += fmt::format("| `{}` | {} | {} | {}{} |\n", info.name, type_name(info.type), labels, info.help,
                       info.idle ? " Always 0: this program has no such part; kept for dashboards made for Hedwig 0.10."
                                 : "");
  }
  return out;
}

} // namespace hedwig::telemetry
