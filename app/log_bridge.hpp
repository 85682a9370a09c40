// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/plugin/sinks.hpp"

namespace hedwig::app {

/// Log records of plugins become events "plugin.log" of the program's log. Thread-safe.
class log_bridge final : public plugin::log_sink {
public:
  [[nodiscard]] int level() const noexcept override;
  void log(const plugin::log_record& record) noexcept override;
};

} // namespace hedwig::app
