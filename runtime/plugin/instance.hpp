// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/plugin.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/plugin/breaker.hpp"
#include "runtime/plugin/checked_config.hpp"
#include "runtime/plugin/completion.hpp"
#include "runtime/plugin/host.hpp"
#include "runtime/plugin/loader.hpp"
#include "runtime/plugin/op_table.hpp"
#include "runtime/telemetry/metrics.hpp"

namespace hedwig::plugin {

class worker_pool;
class instance_host;
class isolated_provider;
struct isolation_view;

/// Default of how long one call may take.
inline constexpr std::chrono::seconds default_call_timeout{30};

struct instance_settings {
  std::string name; ///< "auth.static": in logs, metrics and crash reports
  std::chrono::nanoseconds call_timeout = default_call_timeout;
  unsigned workers = 4;           ///< threads, for a provider that blocks
  std::size_t max_pending = 1000; ///< calls waiting for a thread; BUSY above
  /// Calls the provider owes an answer, late ones included; BUSY above.
  std::size_t max_calls = std::numeric_limits<std::size_t>::max();
  unsigned breaker_failures = 0; ///< in a row; 0: no breaker
  std::chrono::nanoseconds breaker_delay = std::chrono::seconds{30};
  std::string sha256;         ///< that its plugin's file must have; empty: any
  std::string isolation_user; ///< that its process becomes; empty: ours
  bool own_process = false;   ///< runs it in hedwig-plugin-host
  bool own_threads = false;   ///< calls it on its workers even when it says that it does not block
};

/// What an instance has done so far.
struct instance_counters {
  std::uint64_t calls = 0;
  std::uint64_t failures = 0; ///< answers that were errors of the provider (not DENIED, NOT_FOUND, EXISTS, CONFLICT)
  std::uint64_t timeouts = 0; ///< calls whose deadline passed
  std::uint64_t late_completions = 0;  ///< answers after that; dropped
  std::uint64_t false_completions = 0; ///< second answers, and answers to calls of others; ignored
  std::uint64_t in_flight = 0;         ///< calls the provider owes an answer, late ones included
  std::uint64_t busy = 0;              ///< calls refused because too many waited
  std::uint64_t answered = 0;          ///< answers in time that were none of the provider's errors
  std::uint64_t failed = 0;            ///< answers in time that were
  std::uint64_t malformed = 0;         ///< of failures: answers that said OK and could not be used
  std::uint64_t refused = 0;           ///< calls not made since the breaker was open
  std::uint64_t owed_late = 0;         ///< of in_flight: their deadline has passed
};

/// The last failure of an instance, for the console.
struct instance_failure {
  std::string call; ///< "on_mail"
  std::string what;
  wall_time when{};
};

/// What the breakers of an instance say together.
struct breaker_summary {
  breaker_state state = breaker_state::closed; ///< open where one of them is
  unsigned failures = 0;                       ///< the most in a row
  std::chrono::nanoseconds left{0};            ///< until the next of them lets a call try
  std::uint64_t opened = 0;                    ///< times
  std::vector<std::string> calls;              ///< that are not made now
};

/// Checks `table` against the provider's schema and then asks its validate(); a complaint of the latter stands at the
/// key it names. Runs no other plugin code. The wanted `config` is that of the result.
[[nodiscard]] checked check_provider(const std::shared_ptr<host>& services, const provider_ref& provider,
                                     const config::node& table, const config_source& source);

/// One configured provider: create → start → calls → stop → gone. Kept by shared_ptr by its typed face and by every
/// call in flight. All functions are callable from every thread.
///
/// The owner stops it before letting go; an instance that was started and never stopped is abandoned with its memory,
/// since its threads may still run.
class instance : public std::enable_shared_from_this<instance> {
public:
  /// Calls the provider's create().
  [[nodiscard]] static result<std::shared_ptr<instance>> create(std::shared_ptr<host> services, provider_ref provider,
                                                                instance_settings settings,
                                                                std::shared_ptr<const hedwig_config> config);
  ~instance();

  /// Opens files, connects, recovers; the face may be used once this completed well. Runs on a thread of its own.
  void start(reply_to reply);
  /// New values for RELOADABLE keys; UNSUPPORTED when the provider cannot.
  void reload(std::shared_ptr<const hedwig_config> config, reply_to reply);
  /// No call may be made from here on.
  void stop(reply_to reply);

  /// The same for start-up and shut-down, when nothing else runs: waits for the answer. (With a host without threads:
  /// runs what is due.)
  [[nodiscard]] result<void> start_and_wait(std::chrono::nanoseconds timeout);
  [[nodiscard]] result<void> reload_and_wait(std::shared_ptr<const hedwig_config> config,
                                             std::chrono::nanoseconds timeout);
  [[nodiscard]] result<void> stop_and_wait(std::chrono::nanoseconds timeout);

  [[nodiscard]] const std::string& name() const noexcept { return settings_.name; }
  [[nodiscard]] const provider_ref& provider() const noexcept { return provider_; }
  [[nodiscard]] const instance_settings& settings() const noexcept { return settings_; }
  /// Its calls are made on its workers.
  [[nodiscard]] bool blocking() const noexcept {
    return settings_.own_threads || (provider_.provider->flags & HEDWIG_PROVIDER_BLOCKING) != 0;
  }
  [[nodiscard]] instance_counters counters() const noexcept;
  /// Each kind of call, such as a hook, has a breaker of its own: one that works says nothing of one that does not.
  /// This is the worst of them.
  [[nodiscard]] breaker_summary breaker_now() const;
  [[nodiscard]] std::optional<instance_failure> last_failure() const;
  /// Nothing where it runs in ours.
  [[nodiscard]] std::optional<isolation_view> process() const;
  /// Seconds from call to answer, late ones included; bounds of hedwig_provider_call_seconds.
  [[nodiscard]] const telemetry::histogram& call_times() const noexcept;
  /// Calls that wait for a worker thread.
  [[nodiscard]] std::size_t waiting() const;

  // What the typed faces are made of.

  /// The provider's own pointer, for its tables.
  [[nodiscard]] void* self() const noexcept { return self_; }
  [[nodiscard]] host& services() const noexcept { return *services_; }
  [[nodiscard]] const std::shared_ptr<host>& shared_services() const noexcept { return services_; }
  /// Hands `call` to the provider: at once, or on a worker when it blocks. `make` is called with the op unless the
  /// deadline passed before; whatever happens the call's sink hears exactly once.
  void submit(std::unique_ptr<pending_op> call, std::move_only_function<void(hedwig_op*, pending_op&)> make);
  static constexpr std::size_t call_kinds = 9;
  /// Why no call of this kind can be made now: its breaker is open. Spares the caller to make one.
  [[nodiscard]] std::optional<error> refusal(std::uint8_t kind) const;
  /// The end of a call, in time, for the breaker and the counters; null: well, or no failure of the provider's.
  void ended(const pending_op& call, const error* why, bool malformed);
  void count_timeout(const pending_op& call);
  /// A second answer, or one to a call of another.
  void count_false_completion();
  /// Registers a call without running anything; null (and the sink has heard BUSY) when too many are in flight. A slot
  /// that the caller keeps is used in any case and is the caller's again when null is returned.
  [[nodiscard]] hedwig_op* open(std::unique_ptr<pending_op> call, std::optional<op_table::kept_slot> slot = {});
  /// What is shown to the provider of a call that open() registered; null when its deadline passed meanwhile.
  [[nodiscard]] pending_op* begin(hedwig_op* op);
  /// Tells the provider that an answer is not wanted any more.
  void cancel(hedwig_op* op);
  [[nodiscard]] instance_host& face() const noexcept { return *host_; }
  /// Ends a call that the provider was not asked, or not to be asked any more.
  void refuse(hedwig_op* op, error why);
  /// Runs `work` on a worker thread; false when too many wait. `always`: never refused.
  bool run_on_worker(std::move_only_function<void()> work, bool always = false);

private:
  friend class instance_host;
  enum class phase : std::uint8_t { created, started, stopped };

  instance(std::shared_ptr<host> services, provider_ref provider, instance_settings settings);
  void control(const char* call, reply_to reply, std::shared_ptr<const hedwig_config> config,
               void (*run)(instance&, hedwig_op*, const hedwig_config*));
  void report(const pending_op& call, breaker::end how);
  void remember(const char* call, std::string what);
  [[nodiscard]] error breaker_error() const;
  [[nodiscard]] result<void> wait_for(const std::function<void(reply_to)>& call, std::chrono::nanoseconds timeout);

  std::shared_ptr<host> services_;
  provider_ref provider_;
  instance_settings settings_;
  std::shared_ptr<const hedwig_config> config_;
  std::unique_ptr<instance_host> host_;
  std::shared_ptr<isolated_provider> apart_;
  std::unique_ptr<worker_pool> control_;
  std::unique_ptr<worker_pool> workers_;
  void* self_ = nullptr;
  std::atomic<phase> phase_{phase::created};
  struct guarded_kind {
    guarded_kind(unsigned failures, std::chrono::nanoseconds delay) : guard{failures, delay} {}
    breaker guard;
    std::atomic<const char*> call{""};
  };
  std::vector<std::unique_ptr<guarded_kind>> breakers_;
  mutable std::mutex last_mutex_;
  std::optional<instance_failure> last_;
  steady_time false_completion_said_{}; // a plugin that does it always is told of once in a while
};

} // namespace hedwig::plugin
