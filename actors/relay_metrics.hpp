// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/telemetry/metrics.hpp"

#include <string_view>

namespace hedwig {

/// Handles of the metrics that actors touch, looked up once. What each means stands in the catalogue.
class relay_metrics {
public:
  explicit relay_metrics(telemetry::metrics& all) : all_{all} {}

  [[nodiscard]] telemetry::counter& connections_accepted(std::string_view listener) {
    return all_.counter("hedwig_connections_accepted_total", listener);
  }
  [[nodiscard]] telemetry::counter& connections_refused(std::string_view listener, std::string_view reason) {
    return all_.counter("hedwig_connections_refused_total", listener, reason);
  }
  [[nodiscard]] telemetry::counter& limit_hit(std::string_view limit) {
    return all_.counter("hedwig_limit_hits_total", limit);
  }
  /// A refused command or message.
  [[nodiscard]] telemetry::counter& refused(std::string_view reason) {
    return all_.counter("hedwig_messages_refused_total", reason);
  }
  [[nodiscard]] telemetry::counter& auth(std::string_view mechanism, std::string_view outcome) {
    return all_.counter("hedwig_auth_attempts_total", mechanism, outcome);
  }
  [[nodiscard]] telemetry::counter& tls(std::string_view direction, std::string_view outcome) {
    return all_.counter("hedwig_tls_handshakes_total", direction, outcome);
  }
  [[nodiscard]] telemetry::counter& send_attempts(std::string_view domain, std::string_view status) {
    return all_.counter("hedwig_send_attempts_total", domain, status);
  }
  [[nodiscard]] telemetry::histogram& send_latency(std::string_view domain) {
    return all_.histogram("hedwig_send_latency_seconds", domain);
  }
  [[nodiscard]] telemetry::counter& delivery_connections(std::string_view outcome) {
    return all_.counter("hedwig_delivery_connections_total", outcome);
  }
  [[nodiscard]] telemetry::counter& notifications(std::string_view kind) {
    return all_.counter("hedwig_dsn_total", kind);
  }
  [[nodiscard]] telemetry::counter& signatures(std::string_view outcome) {
    return all_.counter("hedwig_dkim_signatures_total", "all", outcome);
  }
  [[nodiscard]] telemetry::counter& lookups(std::string_view type, std::string_view outcome) {
    return all_.counter("hedwig_dns_lookups_total", type, outcome);
  }
  [[nodiscard]] telemetry::counter& restarts(std::string_view actor) {
    return all_.counter("hedwig_actor_restarts_total", actor);
  }

private:
  telemetry::metrics& all_;

public:
  telemetry::counter& received{all_.counter("hedwig_emails_received_total")};
  telemetry::counter& received_bytes{all_.counter("hedwig_received_bytes_total")};
  telemetry::counter& recipients{all_.counter("hedwig_recipients_accepted_total")};
  telemetry::histogram& accept_time{all_.histogram("hedwig_accept_seconds")};
  telemetry::counter& sent{all_.counter("hedwig_emails_sent_total")};
  telemetry::counter& deferred{all_.counter("hedwig_emails_deferred_total")};
  telemetry::counter& bounced{all_.counter("hedwig_emails_bounced_total")};
  telemetry::counter& dropped{all_.counter("hedwig_emails_dropped_total")};
  telemetry::counter& unknown{all_.counter("hedwig_outcomes_unknown_total")};
  telemetry::counter& retries{all_.counter("hedwig_retry_attempts_total")};
  telemetry::counter& jobs{all_.counter("hedwig_worker_jobs_processed_total")};
  telemetry::histogram& job_time{all_.histogram("hedwig_worker_job_duration_seconds")};
  telemetry::histogram& signing_latency{all_.histogram("hedwig_dkim_signing_latency_seconds")};
  telemetry::histogram& group_size{all_.histogram("hedwig_commit_group_size")};
  telemetry::counter& stored{all_.counter("logqueue_records_appended_total", "0")};
  telemetry::counter& stored_bytes{all_.counter("logqueue_bytes_appended_total", "0")};
  telemetry::counter& store_errors{all_.counter("logqueue_append_errors_total", "0")};
  telemetry::gauge& queue_depth{all_.gauge("hedwig_queue_depth")};
  telemetry::gauge& retry_window{all_.gauge("hedwig_retry_window")};
  telemetry::gauge& active_messages{all_.gauge("hedwig_active_messages")};
  telemetry::gauge& destinations{all_.gauge("hedwig_destinations")};
  telemetry::gauge& destinations_resting{all_.gauge("hedwig_destinations_resting")};
  telemetry::gauge& pool_entries{all_.gauge("hedwig_connection_pool_entries")};
};

} // namespace hedwig
