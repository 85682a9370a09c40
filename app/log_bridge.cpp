// SPDX-License-Identifier: Apache-2.0
#include "app/log_bridge.hpp"

#include "runtime/telemetry/log.hpp"

#include <vector>

namespace hedwig::app {

namespace {

telemetry::level level_of(int plugin_level) noexcept {
  switch (plugin_level) {
  case HEDWIG_LOG_TRACE:
    return telemetry::level::trace;
  case HEDWIG_LOG_DEBUG:
    return telemetry::level::debug;
  case HEDWIG_LOG_INFO:
    return telemetry::level::info;
  case HEDWIG_LOG_WARN:
    return telemetry::level::warn;
  default:
    return telemetry::level::error;
  }
}

} // namespace

int log_bridge::level() const noexcept {
  for (int level = HEDWIG_LOG_TRACE; level < HEDWIG_LOG_ERROR; ++level)
    if (telemetry::enabled(level_of(level), telemetry::component::plugin))
      return level;
  return HEDWIG_LOG_ERROR;
}

void log_bridge::log(const plugin::log_record& record) noexcept {
  try {
    if (record.event != nullptr) {
      std::vector<telemetry::field> fields{{"provider", record.instance}};
      for (auto& [key, value] : record.fields)
        fields.emplace_back(key, value);
      return telemetry::log(level_of(record.level), telemetry::component::plugin, *record.event,
                            std::span<const telemetry::field>{fields});
    }
    std::vector<telemetry::field> fields{{"instance", record.instance}, {"text", record.message}};
    for (auto& [key, value] : record.fields)
      fields.emplace_back(key, value);
    telemetry::log(level_of(record.level), telemetry::component::plugin, {"plugin.log", "a plugin says"},
                   std::span<const telemetry::field>{fields});
  } catch (...) { // out of memory: a log line is what can be spared
  }
}

} // namespace hedwig::app
