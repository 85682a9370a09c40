// SPDX-License-Identifier: Apache-2.0
#include "runtime/telemetry/metrics.hpp"

#include <fmt/format.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <limits>
#include <map>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <variant>

#include "runtime/base/error.hpp"
#include "runtime/telemetry/log.hpp"

namespace hedwig::telemetry {
namespace {

using label_values = std::pair<std::string, std::string>;
constexpr std::string_view other = "other";

/// All series of one name.
template <class Metric>
struct family {
  const metric_info* info = nullptr;
  // Nodes of a map stay where they are: handles are references to them.
  std::map<label_values, Metric, std::less<>> series;

  Metric& at(std::string_view value_1, std::string_view value_2, std::size_t series_max) {
    label_values wanted{value_1, value_2};
    if (const auto found = series.find(wanted); found != series.end())
      return found->second;
    if (series.size() >= series_max)
      wanted = label_values{info->label_1.empty() ? "" : other, info->label_2.empty() ? "" : other};
    if (const auto found = series.find(wanted); found != series.end())
      return found->second;
    return make(std::move(wanted));
  }

private:
  Metric& make(label_values values) {
    if constexpr (std::is_same_v<Metric, histogram>)
      return series.try_emplace(std::move(values), info->bounds).first->second;
    else
      return series.try_emplace(std::move(values)).first->second;
  }
};

prometheus::ClientMetric sample_of(const counter& metric) {
  prometheus::ClientMetric out;
  out.counter.value = static_cast<double>(metric.value());
  return out;
}

prometheus::ClientMetric sample_of(const gauge& metric) {
  prometheus::ClientMetric out;
  out.gauge.value = static_cast<double>(metric.value());
  return out;
}

prometheus::ClientMetric sample_of(const histogram& metric) {
  prometheus::ClientMetric out;
  const auto bounds = metric.bounds();
  std::uint64_t cumulative = 0;
  for (std::size_t at = 0; at <= bounds.size(); ++at) {
    cumulative += metric.in_bucket(at);
    const double bound = at < bounds.size() ? bounds[at] : std::numeric_limits<double>::infinity();
    out.histogram.bucket.push_back({cumulative, bound});
  }
  out.histogram.sample_count = cumulative;
  out.histogram.sample_sum = metric.sum();
  return out;
}

template <class Metric>
constexpr metric_type type_of() {
  if constexpr (std::is_same_v<Metric, counter>)
    return metric_type::counter;
  else if constexpr (std::is_same_v<Metric, gauge>)
    return metric_type::gauge;
  else
    return metric_type::histogram;
}

prometheus::MetricType prometheus_type(metric_type type) {
  switch (type) {
  case metric_type::counter:
    return prometheus::MetricType::Counter;
  case metric_type::gauge:
    return prometheus::MetricType::Gauge;
  case metric_type::histogram:
    break;
  }
  return prometheus::MetricType::Histogram;
}

// The text format wants valid UTF-8 and no control characters are welcome; the serializer escapes the rest.
std::string label_text(std::string_view value) {
  std::string out;
  for (const char c : value.substr(0, 200))
    out += (c >= 0x20 && c < 0x7F) ? c : '?';
  return out;
}

std::string_view idle_value(std::string_view label) {
  if (label.empty())
    return {};
  return label == "shard" ? "0" : "none";
}

std::string help_of(const metric_info& info) {
  return std::string{info.help} + (info.idle ? " Always 0 in this program." : "");
}

std::size_t labels_of(const metric_info& info) {
  return (info.label_1.empty() ? 0u : 1u) + (info.label_2.empty() ? 0u : 1u);
}

} // namespace

void counter::raise_to(std::uint64_t total) noexcept {
  auto now = value();
  while (now < total && !value_.compare_exchange_weak(now, total, std::memory_order_relaxed)) {
  }
}

histogram::histogram(std::span<const double> bounds)
  : bounds_{bounds}, buckets_{std::make_unique<std::atomic<std::uint64_t>[]>(bounds.size() + 1)} {}

void histogram::observe(double value) noexcept {
  std::size_t place = 0; // few bounds, and mostly the same: this is predicted better than halving
  while (place < bounds_.size() && bounds_[place] < value)
    ++place;
  buckets_[place].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

void histogram::copy_from(const histogram& other) noexcept {
  for (std::size_t at = 0; at <= bounds_.size(); ++at)
    buckets_[at].store(other.in_bucket(at), std::memory_order_relaxed);
  sum_.store(other.sum(), std::memory_order_relaxed);
}

std::uint64_t histogram::in_bucket(std::size_t index) const noexcept {
  return buckets_[index].load(std::memory_order_relaxed);
}

std::uint64_t histogram::count() const noexcept {
  std::uint64_t total = 0;
  for (std::size_t at = 0; at <= bounds_.size(); ++at)
    total += in_bucket(at);
  return total;
}

std::span<const double> bounds_of(std::string_view name) {
  for (const auto& info : metric_catalogue())
    if (info.name == name && info.type == metric_type::histogram)
      return info.bounds;
  panic(fmt::format("{} is not a histogram of the catalogue", name));
}

struct metrics::state {
  using any_family = std::variant<family<telemetry::counter>, family<telemetry::gauge>, family<telemetry::histogram>>;

  std::size_t label_values_max;
  mutable std::mutex mutex;
  std::vector<any_family> families; // in the order of the catalogue
  std::unordered_map<std::string_view, std::size_t> index;

  template <class Metric>
  Metric& find(std::string_view name, std::string_view value_1, std::string_view value_2) {
    const auto place = index.find(name);
    if (place == index.end())
      panic(fmt::format("metric {} is not in the catalogue", name));
    const auto& info = metric_catalogue()[place->second];
    const std::size_t values = (value_1.empty() ? 0u : 1u) + (value_2.empty() ? 0u : 1u);
    if (info.type != type_of<Metric>() || values > labels_of(info))
      panic(fmt::format("metric {} is used against its declaration", name));
    const std::lock_guard lock{mutex};
    return std::get<family<Metric>>(families[place->second])
        .at(label_text(value_1), label_text(value_2), label_values_max);
  }
};

metrics::metrics(std::size_t label_values_max) : state_{std::make_unique<state>()} {
  state_->label_values_max = std::max<std::size_t>(label_values_max, 1);
  const auto catalogue = metric_catalogue();
  for (std::size_t at = 0; at < catalogue.size(); ++at) {
    const auto& info = catalogue[at];
    if (!state_->index.emplace(info.name, at).second)
      panic(fmt::format("metric {} is declared twice", info.name));
    if (info.type == metric_type::counter)
      state_->families.emplace_back(family<telemetry::counter>{&info, {}});
    else if (info.type == metric_type::gauge)
      state_->families.emplace_back(family<telemetry::gauge>{&info, {}});
    else
      state_->families.emplace_back(family<telemetry::histogram>{&info, {}});
    // A name without labels, or without a part that counts, shows its zero from the first scrape on.
    if (labels_of(info) == 0 || info.idle)
      std::visit([](auto& one) { (void)one.at(idle_value(one.info->label_1), idle_value(one.info->label_2), 1); },
                 state_->families.back());
  }
}

metrics::~metrics() = default;

counter& metrics::counter(std::string_view name, std::string_view value_1, std::string_view value_2) {
  return state_->find<telemetry::counter>(name, value_1, value_2);
}

gauge& metrics::gauge(std::string_view name, std::string_view value_1, std::string_view value_2) {
  return state_->find<telemetry::gauge>(name, value_1, value_2);
}

histogram& metrics::histogram(std::string_view name, std::string_view value_1, std::string_view value_2) {
  return state_->find<telemetry::histogram>(name, value_1, value_2);
}

std::string metrics::expose() const {
  std::vector<prometheus::MetricFamily> out;
  auto& lost = state_->find<telemetry::counter>("hedwig_log_lines_dropped_total", {}, {});
  const std::lock_guard lock{state_->mutex};
  lost.add(dropped_lines() - lost.value()); // nothing else adds to it, and never without this lock
  for (const auto& any : state_->families)
    std::visit(
        [&out](const auto& one) {
          prometheus::MetricFamily shown{
              std::string{one.info->name}, help_of(*one.info), prometheus_type(one.info->type), {}};
          for (const auto& [values, metric] : one.series) {
            auto& sample = shown.metric.emplace_back(sample_of(metric));
            if (!one.info->label_1.empty())
              sample.label.push_back({std::string{one.info->label_1}, values.first});
            if (!one.info->label_2.empty())
              sample.label.push_back({std::string{one.info->label_2}, values.second});
          }
          out.push_back(std::move(shown));
        },
        any);
  return prometheus::TextSerializer{}.Serialize(out);
}

} // namespace hedwig::telemetry
