// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/base/clock.hpp"
#include "runtime/plugin/sinks.hpp"

namespace hedwig::dns {
class resolver;
}

namespace hedwig::plugin {

class lookup_desk;
class op_table;
class timer_queue;

struct host_options {
  hedwig::clock* time = &hedwig::clock::system();
  std::shared_ptr<log_sink> log;        ///< null: nothing is logged
  std::shared_ptr<metric_sink> metrics; ///< null: metrics are counted nowhere
  std::string version = HEDWIG_VERSION; ///< of the program; plugins may log it
  /// False: nothing runs by itself; run_due() does everything on the caller's thread. For tests and simulations.
  bool threads = true;
  std::chrono::nanoseconds tick = std::chrono::milliseconds{100}; ///< how late a deadline may be noticed
  std::size_t buffer_bytes_max = std::size_t{1} << 30;            ///< of buf_alloc, all plugins together
  std::size_t ops_max = 1'000'000; ///< calls in flight, all instances together; BUSY above
  std::size_t timers_max = 100'000;
  std::size_t metrics_max = 200; ///< series of one instance
  std::size_t lookups_max = 500; ///< DNS look-ups of one instance under way; BUSY above
};

/// What all provider instances of a program share: the table of calls in flight, timers, the thread that notices
/// deadlines, and where logs and metrics go. Made once, before the catalogue, kept by shared_ptr; every function is
/// callable from every thread.
class host {
public:
  explicit host(host_options options);
  ~host();
  host(const host&) = delete;
  host& operator=(const host&) = delete;

  [[nodiscard]] const host_options& options() const noexcept { return options_; }
  [[nodiscard]] hedwig::clock& time() const noexcept { return *options_.time; }
  [[nodiscard]] op_table& ops() noexcept { return *ops_; }
  [[nodiscard]] timer_queue& timers() noexcept { return *timers_; }
  [[nodiscard]] lookup_desk& lookups() noexcept { return *lookups_; }

  /// What plugins ask through hedwig.host.dns/1: set before the first instance is made; without one there is no such
  /// service. Null takes it away again, which ends the look-ups under way: done before the resolver goes.
  void use_resolver(dns::resolver* resolver);

  /// Ends the host's own thread: no timer, no deadline and no posted work runs after it returns. The destructor does
  /// the same, but an instance that was abandoned keeps the host alive: so a program calls this before it leaves
  /// main(). Not from a plugin's call; calling it again is harmless.
  void stop();
  /// Fires the timers and deadlines that are due, then, without threads, runs the work that waits, until none does.
  void run_due();
  /// Runs `work` soon on the host's own thread ([event] to plugins), or in run_due(). Never inside this call.
  void post(std::move_only_function<void()> work);

  /// Looks at the timers again: one was started.
  void wake();

  void log(int level, std::string_view instance, std::string_view message,
           std::span<const std::pair<std::string_view, std::string_view>> fields = {}) const noexcept;
  /// An event of the host's own about an instance.
  void report(int level, const telemetry::event& what, std::string_view instance,
              std::span<const std::pair<std::string_view, std::string_view>> fields = {}) const noexcept;

private:
  struct state;
  void run();
  static void run_posted(state& shared);
  void expire();

  host_options options_;
  std::unique_ptr<op_table> ops_;
  std::unique_ptr<timer_queue> timers_;
  std::unique_ptr<lookup_desk> lookups_;
  std::shared_ptr<state> state_; // the thread's too: it may drop the host itself
};

} // namespace hedwig::plugin
