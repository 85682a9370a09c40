// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// Metrics: every name is declared once, in metric_catalogue(); code holds handles. Touching a handle is one atomic
// operation without look-up; finding one by label values takes a lock, so keep what you found.
namespace hedwig::telemetry {

/// Goes up only. Any thread.
class counter {
public:
  void add(std::uint64_t count = 1) noexcept { value_.fetch_add(count, std::memory_order_relaxed); }
  /// For figures that someone else counts: never goes down, also when two threads bring them.
  void raise_to(std::uint64_t total) noexcept;
  [[nodiscard]] std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

private:
  std::atomic<std::uint64_t> value_{0};
};

/// Goes up and down. Any thread.
class gauge {
public:
  void set(std::int64_t value) noexcept { value_.store(value, std::memory_order_relaxed); }
  void add(std::int64_t amount = 1) noexcept { value_.fetch_add(amount, std::memory_order_relaxed); }
  void subtract(std::int64_t amount = 1) noexcept { value_.fetch_sub(amount, std::memory_order_relaxed); }
  [[nodiscard]] std::int64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

private:
  std::atomic<std::int64_t> value_{0};
};

/// Counts observations by size. Any thread, no lock: a scrape may see one observation in a bucket and not yet in the
/// sum.
class histogram {
public:
  explicit histogram(std::span<const double> bounds);
  /// Seconds for the *_seconds metrics.
  void observe(double value) noexcept;
  /// Shows what `other`, of the same bounds, has observed. Nothing else may observe here.
  void copy_from(const histogram& other) noexcept;
  [[nodiscard]] std::uint64_t count() const noexcept;
  [[nodiscard]] double sum() const noexcept { return sum_.load(std::memory_order_relaxed); }
  /// Upper bounds, ascending; one more bucket follows for everything above.
  [[nodiscard]] std::span<const double> bounds() const noexcept { return bounds_; }
  [[nodiscard]] std::uint64_t in_bucket(std::size_t index) const noexcept;

private:
  std::span<const double> bounds_;
  std::unique_ptr<std::atomic<std::uint64_t>[]> buckets_;
  std::atomic<double> sum_{0};
};

enum class metric_type : std::uint8_t { counter, gauge, histogram };

/// One name with all that is said about it.
struct metric_info {
  std::string_view name;
  metric_type type;
  std::string_view help; ///< one sentence
  std::string_view label_1 = {};
  std::string_view label_2 = {};
  std::span<const double> bounds = {}; ///< of a histogram
  bool idle = false;                   ///< kept at zero for the sake of Hedwig 0.10's dashboards
};

/// Every metric of the program; docs/metrics.md is printed from it.
[[nodiscard]] std::span<const metric_info> metric_catalogue() noexcept;
/// The upper bounds that the catalogue gives to a histogram, for one that is kept elsewhere and copied.
[[nodiscard]] std::span<const double> bounds_of(std::string_view name);
/// docs/metrics.md
[[nodiscard]] std::string metrics_markdown();

/// All metrics of one process (or of one simulated relay). Outlives every handle's user.
/// A name that is not in the catalogue, or of another type or label count, is a bug and stops the process.
class metrics {
public:
  /// `label_values_max`: combinations of label values kept a name; what comes later is counted under "other".
  explicit metrics(std::size_t label_values_max = 1000);
  ~metrics();
  metrics(const metrics&) = delete;
  metrics& operator=(const metrics&) = delete;

  /// The references stay valid as long as this object. Any thread; takes a lock.
  [[nodiscard]] telemetry::counter& counter(std::string_view name, std::string_view value_1 = {},
                                            std::string_view value_2 = {});
  [[nodiscard]] telemetry::gauge& gauge(std::string_view name, std::string_view value_1 = {},
                                        std::string_view value_2 = {});
  [[nodiscard]] telemetry::histogram& histogram(std::string_view name, std::string_view value_1 = {},
                                                std::string_view value_2 = {});

  /// The text that GET /metrics answers: Prometheus text format 0.0.4, UTF-8.
  [[nodiscard]] std::string expose() const;
  static constexpr std::string_view content_type = "text/plain; version=0.0.4; charset=utf-8";

private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace hedwig::telemetry
