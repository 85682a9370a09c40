// SPDX-License-Identifier: Apache-2.0
#include "app/serve.hpp"

#include "app/command_line.hpp"
#include "app/engine.hpp"
#include "app/service_manager.hpp"
#include "app/spool_kinds.hpp"
#include "app/spool_migrate.hpp"
#include "runtime/telemetry/log.hpp"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <mutex>
#include <utility>

namespace hedwig::app {

using telemetry::component;
using telemetry::level;

namespace {

/// What the signal thread and the relay's threads tell the main thread, as a signal of their own: one place to wait.
constexpr int own_signal = SIGUSR2;

struct progress {
  std::mutex mutex;
  bool failed = false;
  bool drained = false;
  std::string why;

  void wake() { ::kill(::getpid(), own_signal); }
};

sigset_t handled_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (int one : {SIGTERM, SIGINT, SIGHUP, own_signal})
    sigaddset(&set, one);
  return set;
}

bool open_log(const config::log_settings& settings) {
  auto levels = telemetry::level_filter_from_environment(settings.level);
  if (!levels) {
    std::cerr << "hedwig: " << levels.error().text() << '\n';
    return false;
  }
  telemetry::start_log({.levels = *levels,
                        .format = settings.format == config::log_format::json ? telemetry::log_format::json
                                                                              : telemetry::log_format::text,
                        .queue_size = settings.queue_size});
  return true;
}

supervisor_events events_for(progress& seen) {
  return {.started =
              [] {
                telemetry::log(level::info, component::main, {"relay.ready", "spool, listeners and console are open"},
                               {{"version", HEDWIG_VERSION}, {"pid", ::getpid()}});
                tell_service_manager("READY=1\nSTATUS=serving");
              },
          .failed =
              [&seen](const std::string& why) {
                {
                  std::lock_guard guard{seen.mutex};
                  seen.failed = true;
                  seen.why = why;
                }
                seen.wake();
              },
          .drained =
              [&seen] {
                {
                  std::lock_guard guard{seen.mutex};
                  seen.drained = true;
                }
                seen.wake();
              }};
}

/// Waits for the next signal; 0 when `timeout` passed first.
int next_signal(const sigset_t& set, std::chrono::nanoseconds timeout) {
  auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
  timespec limit{seconds.count(), (timeout - seconds).count()};
  auto which = sigtimedwait(&set, nullptr, &limit);
  return which > 0 ? which : 0;
}

/// Tells a store that has failed for good from one that recovers by itself. Mail that is delivered but cannot be
/// written down as delivered is delivered again, so the process does not go on like that: a restart may help, and is
/// safe.
class store_watch {
public:
  static constexpr std::chrono::seconds look_interval{1};
  static constexpr std::chrono::seconds failed_max{20};

  /// Whether it has been failing for failed_max. A full disk is no failure: deliveries free space. Nor is a database
  /// server that is away: its store connects again, and what is to be written down waits here. Nor a store that hangs:
  /// it may come back, and to end would wait for it as well.
  [[nodiscard]] bool has_given_up(hedwig_status health, std::chrono::steady_clock::time_point now) {
    tell_hang(health == HEDWIG_E_TIMEOUT);
    if (health == HEDWIG_OK || health == HEDWIG_E_NO_SPACE || health == HEDWIG_E_BUSY ||
        health == HEDWIG_E_UNAVAILABLE || health == HEDWIG_E_TIMEOUT) {
      failing_ = false;
      return false;
    }
    if (!failing_)
      failing_since_ = now;
    failing_ = true;
    return now - failing_since_ >= failed_max;
  }

private:
  void tell_hang(bool hangs) {
    if (hangs == std::exchange(hangs_, hangs))
      return;
    if (hangs)
      telemetry::log(level::error, component::main,
                     {"store.hangs", "the store has answered no write for long: new mail gets 451 until it does"},
                     {{"seconds", plugin::storage_client::hang_after.count()}});
    else
      telemetry::log(level::warn, component::main, {"store.goes-on", "the store, which hung, answers again"});
  }

  bool hangs_ = false;
  bool failing_ = false;
  std::chrono::steady_clock::time_point failing_since_{};
};

int run(engine& relay, progress& seen, const std::string& config_path, const sigset_t& set) {
  std::optional<std::chrono::steady_clock::time_point> deadline;
  store_watch watch;
  for (;;) {
    std::chrono::nanoseconds left = store_watch::look_interval;
    if (deadline)
      left =
          std::max<std::chrono::nanoseconds>(*deadline - std::chrono::steady_clock::now(), std::chrono::nanoseconds{0});
    auto which = next_signal(set, left);
    {
      std::lock_guard guard{seen.mutex};
      if (seen.failed) {
        telemetry::log(level::error, component::main, {"relay.failed", "the relay has to stop"}, {{"why", seen.why}});
        return exit_failed;
      }
      if (seen.drained)
        return exit_ok;
    }
    relay.look_at_certificates();
    if (which == 0 && !deadline) {
      if (!watch.has_given_up(relay.context().plugins.store->health(), std::chrono::steady_clock::now()))
        continue;
      telemetry::log(level::error, component::main,
                     {"store.failed", "the store has failed and does not recover: the process ends, what is on disk is "
                                      "safe, start again"});
      return exit_failed;
    }
    if (which == 0) {
      telemetry::log(
          level::warn, component::main,
          {"relay.drain-timeout", "process.drain_timeout passed; what is under way is cut off and tried again later"});
      return exit_ok;
    }
    if (which == SIGHUP) {
      relay.reload(config_path);
    } else if (which == SIGTERM || which == SIGINT) {
      if (deadline) {
        telemetry::log(level::warn, component::main, {"relay.killed", "a second signal: ending at once"});
        telemetry::flush_log();
        std::_Exit(exit_ok);
      }
      telemetry::log(level::info, component::main,
                     {"relay.draining", "no new connections; finishing what is under way"});
      tell_service_manager("STOPPING=1\nSTATUS=finishing what is under way");
      deadline = std::chrono::steady_clock::now() + relay.context().policy()->settings.process.drain_timeout;
      relay.drain();
    }
  }
}

/// Half of a spool would be delivered here and again, whole, once the migration is gone on with.
bool is_being_filled(const std::string& spool) {
  std::error_code failed;
  auto mark = std::filesystem::path{spool} / migration_mark_name;
  if (!std::filesystem::exists(mark, failed))
    return false;
  std::cerr << "hedwig: " << mark.string()
            << ": a migration into this spool was interrupted; run the same hedwig spool migrate again\n";
  return true;
}

/// Mail that this relay would not look at, let alone deliver.
bool has_stranded_mail(const config::loaded& file) {
  auto told = stranded_spools(file);
  for (auto& one : told)
    std::cerr << "hedwig: " << one << '\n';
  return !told.empty();
}

} // namespace

int serve(const std::string& config_path) {
  // Blocked before any thread is made, those of plugins in prepare() too, so that all inherit it and the main thread
  // alone takes them.
  auto set = handled_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  auto from = prepare(config_path);
  std::cerr << from.text();
  if (!from.ok()) {
    std::cerr << advice_on_config(config_path);
    return exit_usage;
  }
  if (has_stranded_mail(*from.loaded) || is_being_filled(from.policy->settings.storage.base_path))
    return exit_failed;
  if (!open_log(from.policy->settings.log))
    return exit_usage;
  progress seen;
  int status = exit_failed;
  if (auto relay = engine::start(std::move(from), events_for(seen))) {
    status = run(**relay, seen, config_path, set);
    relay->reset();
    telemetry::log(level::info, component::main, {"relay.stopped", "stopped"}, {{"status", status}});
  } else {
    telemetry::log(level::error, component::main, {"relay.not-started", "could not start"},
                   {{"error", relay.error().text()}});
  }
  telemetry::stop_log();
  return status;
}

} // namespace hedwig::app
