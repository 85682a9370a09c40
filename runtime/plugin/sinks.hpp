// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/host.h>

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "runtime/telemetry/log.hpp"

namespace hedwig::plugin {

/// One log record, borrowed for the call. Nothing is escaped yet: text of plugins and peers is in it.
struct log_record {
  int level = HEDWIG_LOG_INFO;
  std::string_view instance; ///< "auth.static"; empty: the plugin host itself
  std::string_view message;
  std::span<const std::pair<std::string_view, std::string_view>> fields;
  /// What the plugin host itself says of an instance; null: the words are the plugin's.
  const telemetry::event* event = nullptr;
};

/// Where log records go. Every function is callable from every thread and never blocks.
class log_sink {
public:
  virtual ~log_sink() = default;
  [[nodiscard]] virtual int level() const noexcept = 0; ///< HEDWIG_LOG_…; lower ones need not be built
  virtual void log(const log_record& record) noexcept = 0;
};

/// Where the metrics of plugins go.
class metric_sink {
public:
  virtual ~metric_sink() = default;
  /// `kind` is HEDWIG_METRIC_…; the name is checked (lower case, digits, underscores) and without prefix. 0: refused.
  [[nodiscard]] virtual std::uint64_t declare(std::string_view instance, int kind, std::string_view name,
                                              std::string_view unit, std::string_view help) noexcept = 0;
  virtual void add(std::uint64_t metric, double value) noexcept = 0; ///< counters, gauges; observes a histogram
  virtual void set(std::uint64_t metric, double value) noexcept = 0; ///< gauges
};

} // namespace hedwig::plugin
