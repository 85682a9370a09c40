// SPDX-License-Identifier: Apache-2.0
#include "app/metric_bridge.hpp"

#include <hedwig/host.h>

#include <algorithm>
#include <cmath>

namespace hedwig::app {

namespace {

// A number for a metric is its address with the kind in the bits that alignment leaves free: no look-up and no lock.
constexpr std::uint64_t kind_bits = 3;
static_assert(alignof(telemetry::counter) > kind_bits && alignof(telemetry::gauge) > kind_bits &&
              alignof(telemetry::histogram) > kind_bits);

std::uint64_t number_of(void* metric, int kind) noexcept {
  return reinterpret_cast<std::uint64_t>(metric) | static_cast<std::uint64_t>(kind);
}

template <class Metric>
Metric& metric_of(std::uint64_t number) noexcept {
  return *reinterpret_cast<Metric*>(number & ~kind_bits);
}

int kind_of(std::uint64_t number) noexcept { return static_cast<int>(number & kind_bits); }

} // namespace

std::uint64_t metric_bridge::declare(std::string_view instance, int kind, std::string_view name, std::string_view,
                                     std::string_view) noexcept {
  auto* to = metrics_.load();
  if (to == nullptr)
    return 0;
  switch (kind) {
  case HEDWIG_METRIC_COUNTER:
    return number_of(&to->counter("hedwig_plugin_events_total", instance, name), kind);
  case HEDWIG_METRIC_GAUGE:
    return number_of(&to->gauge("hedwig_plugin_value", instance, name), kind);
  case HEDWIG_METRIC_HISTOGRAM:
    return number_of(&to->histogram("hedwig_plugin_seconds", instance, name), kind);
  default:
    return 0;
  }
}

void metric_bridge::add(std::uint64_t metric, double value) noexcept {
  if (!std::isfinite(value) || metrics_.load(std::memory_order_acquire) == nullptr)
    return;
  if (kind_of(metric) == HEDWIG_METRIC_COUNTER && value > 0)
    metric_of<telemetry::counter>(metric).add(static_cast<std::uint64_t>(std::min(value, 1e15)));
  else if (kind_of(metric) == HEDWIG_METRIC_GAUGE)
    metric_of<telemetry::gauge>(metric).add(static_cast<std::int64_t>(std::clamp(value, -1e15, 1e15)));
  else if (kind_of(metric) == HEDWIG_METRIC_HISTOGRAM)
    metric_of<telemetry::histogram>(metric).observe(value);
}

void metric_bridge::set(std::uint64_t metric, double value) noexcept {
  if (kind_of(metric) == HEDWIG_METRIC_GAUGE && std::isfinite(value) &&
      metrics_.load(std::memory_order_acquire) != nullptr)
    metric_of<telemetry::gauge>(metric).set(static_cast<std::int64_t>(std::clamp(value, -1e15, 1e15)));
}

} // namespace hedwig::app
