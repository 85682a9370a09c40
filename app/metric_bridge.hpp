// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>

#include "runtime/plugin/sinks.hpp"
#include "runtime/telemetry/metrics.hpp"

namespace hedwig::app {

/// Metrics of plugins become hedwig_plugin_…{provider, name}. Thread-safe.
class metric_bridge final : public plugin::metric_sink {
public:
  /// Where they are counted, from now on: set before providers are created. Without it, as in the offline tools,
  /// nothing is counted; null before the metrics end, since a provider that did not stop in time may count on.
  void attach(telemetry::metrics* metrics) noexcept { metrics_ = metrics; }

  [[nodiscard]] std::uint64_t declare(std::string_view instance, int kind, std::string_view name, std::string_view unit,
                                      std::string_view help) noexcept override;
  void add(std::uint64_t metric, double value) noexcept override;
  void set(std::uint64_t metric, double value) noexcept override;

private:
  std::atomic<telemetry::metrics*> metrics_{nullptr};
};

} // namespace hedwig::app
