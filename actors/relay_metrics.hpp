// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/telemetry/metrics.hpp"

#include <array>
#include <atomic>
#include <string>
#include <string_view>
#include <unordered_map>

namespace hedwig {

/// Counters by a small number, each looked up once; places beyond `Size` are looked up each time. Any thread.
template <std::size_t Size>
class counter_table {
public:
  /// `find` gives the counter of `place`, always the same.
  template <class Find>
  [[nodiscard]] telemetry::counter& at(std::size_t place, Find&& find) {
    if (place >= Size)
      return find();
    auto* known = known_[place].load(std::memory_order_acquire);
    if (known == nullptr)
      known_[place].store(known = &find(), std::memory_order_release);
    return *known;
  }

private:
  std::array<std::atomic<telemetry::counter*>, Size> known_{};
};

/// What an attempt came to for one recipient; also the value of label `status`.
enum class attempt_result : std::uint8_t { success, failure, deferred };

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
  [[nodiscard]] telemetry::counter& shed(std::string_view listener) {
    return all_.counter("hedwig_connections_shed_total", listener);
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
  [[nodiscard]] telemetry::counter& tls_resumed(std::string_view direction) {
    return all_.counter("hedwig_tls_resumed_total", direction);
  }
  [[nodiscard]] telemetry::counter& send_attempts(std::string_view domain, attempt_result what) {
    constexpr std::string_view words[] = {"success", "failure", "deferred"};
    return all_.counter("hedwig_send_attempts_total", domain, words[static_cast<std::size_t>(what)]);
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
  /// `algorithm`: as in the signature's a=, or "none" when nothing could be signed.
  [[nodiscard]] telemetry::counter& signatures(std::string_view algorithm, std::string_view outcome) {
    return all_.counter("hedwig_dkim_signatures_total", algorithm, outcome);
  }
  [[nodiscard]] telemetry::gauge& connections(std::string_view listener) {
    return all_.gauge("hedwig_connections", listener);
  }
  /// Replies to clients. Cheap.
  [[nodiscard]] telemetry::counter& replies(unsigned code) {
    return replies_.at(
        code, [&]() -> telemetry::counter& { return all_.counter("hedwig_smtp_replies_total", std::to_string(code)); });
  }
  /// `filter`: its place in the chain; `verdict`: a number for the word. Cheap.
  [[nodiscard]] telemetry::counter& verdicts(std::size_t filter, std::string_view name, std::size_t verdict,
                                             std::string_view word) {
    auto place = verdict < verdicts_max ? filter * verdicts_max + verdict : verdict_table_size;
    return verdicts_.at(
        place, [&]() -> telemetry::counter& { return all_.counter("hedwig_filter_verdicts_total", name, word); });
  }
  [[nodiscard]] telemetry::counter& lookups(std::string_view type, std::string_view outcome) {
    return all_.counter("hedwig_dns_lookups_total", type, outcome);
  }
  [[nodiscard]] telemetry::counter& restarts(std::string_view actor) {
    return all_.counter("hedwig_actor_restarts_total", actor);
  }

private:
  static constexpr std::size_t verdicts_max = 8;
  static constexpr std::size_t verdict_table_size = 32 * verdicts_max;

  telemetry::metrics& all_;
  counter_table<600> replies_;
  counter_table<verdict_table_size> verdicts_;

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
  telemetry::histogram& append_time{all_.histogram("logqueue_append_duration_seconds", "0")};
  telemetry::gauge& ready{all_.gauge("logqueue_ready_jobs")};
  telemetry::gauge& waiting{all_.gauge("logqueue_deferred_jobs")};
  telemetry::gauge& in_flight{all_.gauge("logqueue_inflight_jobs")};
  telemetry::gauge& oldest_ready{all_.gauge("logqueue_oldest_ready_age_seconds")};
  telemetry::gauge& oldest_deferred{all_.gauge("logqueue_oldest_deferred_age_seconds")};
  telemetry::gauge& stored_now{all_.gauge("logqueue_live_bytes")};
  telemetry::gauge& disk_free{all_.gauge("logqueue_disk_free_bytes")};
  telemetry::gauge& queue_depth{all_.gauge("hedwig_queue_depth")};
  telemetry::gauge& retry_window{all_.gauge("hedwig_retry_window")};
  telemetry::gauge& active_messages{all_.gauge("hedwig_active_messages")};
  telemetry::gauge& staged{all_.gauge("hedwig_staged_bodies")};
  telemetry::gauge& destinations{all_.gauge("hedwig_destinations")};
  telemetry::gauge& destinations_resting{all_.gauge("hedwig_destinations_resting")};
  telemetry::gauge& pool_entries{all_.gauge("hedwig_connection_pool_entries")};
};

/// hedwig_send_attempts_total by domain, for an actor that counts at every message: remembers the counters it found.
class attempt_counters {
public:
  void add(relay_metrics& all, const std::string& domain, attempt_result what) {
    if (known_.size() >= domains_max && !known_.contains(domain))
      known_.clear();
    auto*& one = known_[domain][static_cast<std::size_t>(what)];
    if (one == nullptr)
      one = &all.send_attempts(domain, what);
    one->add();
  }

private:
  static constexpr std::size_t domains_max = 4096;
  std::unordered_map<std::string, std::array<telemetry::counter*, 3>> known_;
};

} // namespace hedwig
