// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/host.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "runtime/plugin/completion.hpp"
#include "runtime/plugin/host.hpp"
#include "runtime/telemetry/metrics.hpp"

namespace hedwig::plugin {

class instance;
class pending_op;

/// The hedwig_host that one provider instance sees. Outlives the provider's destroy().
class instance_host {
public:
  /// `owner` is null while a plugin is loaded or its config is checked: then there are no workers, timers and look-ups.
  instance_host(std::shared_ptr<host> services, std::string name, instance* owner);
  instance_host(const instance_host&) = delete;
  instance_host& operator=(const instance_host&) = delete;

  [[nodiscard]] const hedwig_host* raw() const noexcept { return &raw_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] host& services() const noexcept { return *services_; }

  void log(int level, std::string_view message,
           std::span<const std::pair<std::string_view, std::string_view>> fields = {}) const noexcept {
    services_->log(level, name_, message, fields);
  }
  /// Ends calls: checks that each is open and of this instance, copies the results, and hands them over by sink.
  void complete(const hedwig_completion* done, std::size_t count);

  /// What its process has told of it, where it has one of its own.
  void count_faults(std::uint64_t wrong, std::uint64_t malformed);

  struct tallies {
    std::atomic<std::uint64_t> calls{0}, failures{0}, timeouts{0}, late{0}, wrong{0}, finished{0}, busy{0}, answered{0},
        failed{0}, malformed{0}, refused{0}, owed_late{0};
  };
  tallies counts;
  telemetry::histogram call_times{telemetry::bounds_of("hedwig_provider_call_seconds")};

private:
  friend struct host_table;
  void count_wrong();
  void count_end(pending_op& op, bool late, const error* failure, bool malformed);
  /// An answer that says nothing, to a caller that waits for it on this stack: most of what filters answer.
  bool passed_here(const hedwig_completion& one);

  std::shared_ptr<host> services_;
  std::string name_;
  instance* owner_;
  hedwig_host raw_{};
  std::vector<std::atomic<std::uint64_t>> metrics_; // the sink's ids, by ours minus 1
  std::atomic<std::size_t> metric_count_{0};
};

/// An error as a plugin described it; `status` decides when the description is missing.
[[nodiscard]] error error_of(hedwig_status status, const hedwig_error* described);

} // namespace hedwig::plugin
