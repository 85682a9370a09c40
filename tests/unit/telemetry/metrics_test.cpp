// SPDX-License-Identifier: Apache-2.0
#include "runtime/telemetry/metrics.hpp"
#include "runtime/telemetry/quantile.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

namespace {

using namespace hedwig;
using telemetry::metric_type;
using testing::HasSubstr;
using testing::Not;

const telemetry::metric_info* declared(std::string_view name) {
  for (const auto& info : telemetry::metric_catalogue())
    if (info.name == name)
      return &info;
  return nullptr;
}

TEST(metric_catalogue, holds_every_name_of_hedwig_0_10_with_its_labels) {
  const struct {
    const char* name;
    const char* label_1;
    const char* label_2;
  } kept[] = {{"hedwig_queue_depth", "", ""},
              {"hedwig_retry_attempts_total", "", ""},
              {"hedwig_connection_pool_entries", "", ""},
              {"hedwig_dkim_signing_latency_seconds", "", ""},
              {"hedwig_emails_received_total", "", ""},
              {"hedwig_emails_sent_total", "", ""},
              {"hedwig_emails_deferred_total", "", ""},
              {"hedwig_emails_bounced_total", "", ""},
              {"hedwig_emails_dropped_total", "", ""},
              {"hedwig_worker_jobs_processed_total", "", ""},
              {"hedwig_worker_job_duration_seconds", "", ""},
              {"hedwig_send_latency_seconds", "domain", ""},
              {"hedwig_send_attempts_total", "domain", "status"},
              {"hedwig_mta_sts_policy_fetch_total", "result", ""},
              {"hedwig_mta_sts_enforcement_total", "mode", "result"},
              {"hedwig_mta_sts_cache_size", "", ""},
              {"logqueue_append_duration_seconds", "shard", ""},
              {"logqueue_pending_append_bytes", "", ""},
              {"logqueue_records_appended_total", "shard", ""},
              {"logqueue_bytes_appended_total", "shard", ""},
              {"logqueue_append_errors_total", "shard", ""},
              {"logqueue_active_segment_bytes", "shard", ""},
              {"logqueue_segment_rotations_total", "shard", ""},
              {"logqueue_ready_jobs", "", ""},
              {"logqueue_deferred_jobs", "", ""},
              {"logqueue_inflight_jobs", "", ""},
              {"logqueue_dispatcher_lag_bytes", "shard", ""},
              {"logqueue_oldest_ready_age_seconds", "", ""},
              {"logqueue_oldest_deferred_age_seconds", "", ""},
              {"logqueue_live_bytes", "", ""},
              {"logqueue_dead_bytes", "", ""},
              {"logqueue_sealed_segments", "", ""},
              {"logqueue_segments_deleted_total", "", ""},
              {"logqueue_compactions_total", "outcome", ""},
              {"logqueue_compaction_bytes_total", "direction", ""},
              {"logqueue_relocations_total", "", ""},
              {"logqueue_disk_free_bytes", "", ""}};
  for (const auto& one : kept) {
    const auto* info = declared(one.name);
    ASSERT_NE(info, nullptr) << one.name;
    EXPECT_EQ(info->label_1, one.label_1) << one.name;
    EXPECT_EQ(info->label_2, one.label_2) << one.name;
  }
}

TEST(metric_catalogue, names_follow_the_rules_of_prometheus) {
  for (const auto& info : telemetry::metric_catalogue()) {
    EXPECT_EQ(info.name.ends_with("_total"), info.type == metric_type::counter) << info.name;
    EXPECT_EQ(info.bounds.empty(), info.type != metric_type::histogram) << info.name;
    EXPECT_TRUE(std::is_sorted(info.bounds.begin(), info.bounds.end())) << info.name;
    EXPECT_TRUE(info.help.ends_with('.')) << info.name;
  }
}

TEST(metrics, show_zero_before_anything_happened) {
  telemetry::metrics all;
  const auto text = all.expose();
  EXPECT_THAT(text, HasSubstr("# TYPE hedwig_emails_received_total counter\nhedwig_emails_received_total 0\n"));
  EXPECT_THAT(text, HasSubstr("logqueue_active_segment_bytes{shard=\"0\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("hedwig_accept_seconds_count 0\n"));
}

TEST(metrics, show_what_was_counted_under_escaped_labels) {
  telemetry::metrics all;
  all.counter("hedwig_send_attempts_total", "example.com", "success").add(2);
  all.counter("hedwig_send_attempts_total", "bad\"\n\xff", "success").add();
  all.gauge("hedwig_queue_depth").set(7);
  all.gauge("hedwig_queue_depth").subtract(2);
  const auto text = all.expose();
  EXPECT_THAT(text, HasSubstr("hedwig_send_attempts_total{domain=\"example.com\",status=\"success\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("hedwig_send_attempts_total{domain=\"bad\\\"??\",status=\"success\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("hedwig_queue_depth 5\n"));
}

TEST(metrics, quantiles_lie_where_the_buckets_say) {
  constexpr double bounds[] = {1.0, 2.0, 4.0};
  telemetry::histogram times{bounds};
  EXPECT_EQ(telemetry::quantile(times, 0.5), 0.0) << "nothing was observed";
  for (int i = 0; i < 50; ++i)
    times.observe(0.5);
  for (int i = 0; i < 50; ++i)
    times.observe(3.0);
  EXPECT_DOUBLE_EQ(telemetry::quantile(times, 0.25), 0.5);
  EXPECT_DOUBLE_EQ(telemetry::quantile(times, 0.5), 1.0);
  EXPECT_DOUBLE_EQ(telemetry::quantile(times, 0.75), 3.0);
  EXPECT_DOUBLE_EQ(telemetry::quantile(times, 1.0), 4.0);
  for (int i = 0; i < 900; ++i)
    times.observe(1000.0);
  EXPECT_DOUBLE_EQ(telemetry::quantile(times, 0.99), 4.0) << "above all bounds: the highest";
}

TEST(metrics, histograms_count_cumulatively_with_the_bound_inside) {
  telemetry::metrics all;
  auto& sizes = all.histogram("hedwig_commit_group_size");
  for (const double value : {1.0, 2.0, 3.0, 5000.0})
    sizes.observe(value);
  const auto text = all.expose();
  EXPECT_THAT(text, HasSubstr("hedwig_commit_group_size_bucket{le=\"1\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("hedwig_commit_group_size_bucket{le=\"2\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("hedwig_commit_group_size_bucket{le=\"4\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("hedwig_commit_group_size_bucket{le=\"1024\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("hedwig_commit_group_size_bucket{le=\"+Inf\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("hedwig_commit_group_size_sum 5006\n"));
}

TEST(metrics, label_values_beyond_the_limit_count_as_other) {
  telemetry::metrics all{2};
  for (const char* domain : {"a.example", "b.example", "c.example", "d.example", "a.example"})
    all.counter("hedwig_send_attempts_total", domain, "success").add();
  const auto text = all.expose();
  EXPECT_THAT(text, HasSubstr("{domain=\"a.example\",status=\"success\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("{domain=\"other\",status=\"other\"} 2\n"));
  EXPECT_THAT(text, Not(HasSubstr("c.example")));
}

TEST(metrics, a_handle_stays_the_same_while_others_are_made) {
  telemetry::metrics all;
  auto& first = all.counter("hedwig_smtp_replies_total", "250");
  for (int code = 400; code < 600; ++code)
    all.counter("hedwig_smtp_replies_total", std::to_string(code)).add();
  first.add();
  EXPECT_EQ(&first, &all.counter("hedwig_smtp_replies_total", "250"));
  EXPECT_EQ(first.value(), 1u);
}

TEST(metrics, threads_count_without_loss_while_others_scrape) {
  telemetry::metrics all;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&all] {
        auto& count = all.counter("hedwig_emails_received_total");
        auto& times = all.histogram("hedwig_accept_seconds");
        for (int n = 0; n < 5000; ++n) {
          count.add();
          times.observe(0.5);
        }
      });
    for (int n = 0; n < 5; ++n)
      EXPECT_FALSE(all.expose().empty());
  }
  EXPECT_EQ(all.counter("hedwig_emails_received_total").value(), 20000u);
  EXPECT_EQ(all.histogram("hedwig_accept_seconds").count(), 20000u);
  EXPECT_EQ(all.histogram("hedwig_accept_seconds").sum(), 10000.0);
}

TEST(metrics, show_figures_that_others_count) {
  telemetry::metrics all;
  auto& calls = all.counter("hedwig_provider_calls_total", "auth.static", "ok");
  calls.raise_to(7);
  calls.raise_to(3); // by a slower scrape
  EXPECT_EQ(calls.value(), 7u);

  telemetry::histogram elsewhere{telemetry::bounds_of("hedwig_provider_call_seconds")};
  elsewhere.observe(0.004);
  elsewhere.observe(60.0);
  auto& shown = all.histogram("hedwig_provider_call_seconds", "auth.static");
  for (int scrape = 0; scrape < 2; ++scrape)
    shown.copy_from(elsewhere);
  EXPECT_EQ(shown.count(), 2u);
  EXPECT_EQ(shown.sum(), 60.004);
  EXPECT_EQ(shown.in_bucket(shown.bounds().size()), 1u);
}

TEST(metrics_death_test, a_name_outside_the_catalogue_stops_the_process) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  telemetry::metrics all;
  EXPECT_DEATH((void)all.counter("hedwig_typo_total"), "not in the catalogue");
  EXPECT_DEATH((void)all.gauge("hedwig_emails_received_total"), "against its declaration");
  EXPECT_DEATH((void)all.counter("hedwig_emails_received_total", "label"), "against its declaration");
}

} // namespace
