// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "actors/directory.hpp"
#include "actors/policy.hpp"
#include "actors/relay_metrics.hpp"
#include "actors/shed_list.hpp"
#include "runtime/base/clock.hpp"
#include "runtime/base/memory_budget.hpp"
#include "runtime/base/onward_clock.hpp"
#include "runtime/plugin/auth_provider.hpp"
#include "runtime/plugin/filter_provider.hpp"
#include "runtime/plugin/storage_client.hpp"
#include "runtime/smtp/client_limits.hpp"
#include "runtime/smtp/login_guard.hpp"
#include "runtime/smtp/refusal.hpp"
#include "runtime/smtp/trace_board.hpp"
#include "runtime/smtp/user_limits.hpp"
#include "runtime/telemetry/log_throttle.hpp"
#include "runtime/telemetry/metrics.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace hedwig::dns {
class resolver;
}

namespace hedwig {

class io_unit;

/// A filter with what the operator wants done when it fails.
struct configured_filter {
  std::shared_ptr<plugin::filter_provider> provider;
  config::failure_action on_failure = config::failure_action::tempfail;
};

/// The providers in use; started before the first actor and stopped after the last.
struct relay_plugins {
  std::shared_ptr<plugin::storage_client> store;
  std::vector<std::shared_ptr<plugin::auth_provider>> auth; ///< asked in order
  std::vector<configured_filter> filters;                   ///< run in order
};

/// What every actor of one relay shares. Owned by the program (or the simulation); outlives the actor system.
class relay_context {
public:
  relay_context(hedwig::clock& clock_in_use, std::shared_ptr<const relay_policy> first, std::uint64_t seed)
    : time{clock_in_use}, due_clock{clock_in_use}, metrics{first->settings.server.metrics.max_label_values},
      counts{metrics}, memory{limits_of(*first)}, policy_{std::move(first)}, seed_{seed} {}

  hedwig::clock& time;
  onward_clock due_clock; ///< by it messages fall due, are retried and given up
  telemetry::metrics metrics;
  relay_metrics counts;
  actor_directory actors;
  memory_budget memory;         ///< of message bodies
  smtp::user_limits users;      ///< what authenticated users did lately
  smtp::login_guard logins;     ///< failed ones, and who is locked out for them
  smtp::refusal_tally refusals; ///< what clients were refused, by reason
  smtp::trace_board traces;     ///< who watches whose dialogue
  smtp::client_limits clients;  ///< what addresses, networks and others did lately
  telemetry::shared_throttle clients_limited{std::chrono::seconds{10}}; ///< said of clients that reached a limit
  shed_list strangers;                                                  ///< sessions that may go where there is no room
  telemetry::shared_throttle shed_said{std::chrono::seconds{10}};
  std::vector<io_unit*> units;                 ///< set before the first actor is spawned
  dns::resolver* resolver = nullptr;           ///< likewise
  relay_plugins plugins;                       ///< likewise
  net::tls_commons tls;                        ///< likewise
  std::atomic<bool> started{false};            ///< spool, listeners and console are open
  std::atomic<bool> draining{false};           ///< the relay stops: nothing new is begun
  std::atomic<bool> paused{false};             ///< mail is taken and kept, not delivered
  std::atomic<std::uint64_t> retries_asked{0}; ///< by an operator: ends the rest of every destination
  std::atomic<std::uint32_t> sessions_open{0};
  std::atomic<std::uint32_t> deliveries_open{0};
  std::atomic<std::uint64_t> attempts_open{0}; ///< messages that were handed out for delivery and are not settled

  /// The settings in force and what was made of them; hold on to it for one decision, not for longer.
  [[nodiscard]] std::shared_ptr<const relay_policy> policy() const { return policy_.load(std::memory_order_acquire); }
  /// SIGHUP.
  void replace_policy(std::shared_ptr<const relay_policy> next) {
    memory.set_limits(limits_of(*next));
    policy_.store(std::move(next));
  }

  /// Sessions and deliveries go round the loops.
  [[nodiscard]] io_unit& next_unit() noexcept {
    return *units[next_unit_.fetch_add(1, std::memory_order_relaxed) % units.size()];
  }
  /// Uniform over all 64 bits; any thread. The same seed and order of calls give the same numbers. Not for secrets.
  [[nodiscard]] std::uint64_t next_random() noexcept;
  /// Uniform in [0, 1).
  [[nodiscard]] double next_share() noexcept { return static_cast<double>(next_random() >> 11) * 0x1.0p-53; }

  /// A refusal that no session's protocol gave.
  void count_refusal(const smtp::standard_reply& why) {
    counts.replies(static_cast<unsigned>(why.code)).add();
    refusals.add(why.why);
  }

  void report_actor_failure(std::string_view role, std::string_view label, std::string_view what) noexcept;

private:
  [[nodiscard]] static memory_limits limits_of(const relay_policy& policy) noexcept {
    auto& settings = policy.settings;
    return {.total = settings.process.message_memory,
            .received = settings.queue.pending_append_bytes,
            .kept = settings.queue.active_bytes};
  }

  std::atomic<std::shared_ptr<const relay_policy>> policy_;
  std::atomic<std::uint32_t> next_unit_{0};
  std::atomic<std::uint64_t> seed_;
};

} // namespace hedwig
