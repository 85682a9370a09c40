// SPDX-License-Identifier: Apache-2.0
#include "app/engine.hpp"

#include "app/socket_activation.hpp"
#include "runtime/net/tls_tickets.hpp"
#include "runtime/telemetry/log.hpp"

#include <pthread.h>

#include <random>

namespace hedwig::app {

using telemetry::component;
using telemetry::level;

namespace {

/// How long actors may take to end once they were told to; a process that hangs at its end is worse than a hard end.
constexpr auto end_timeout = std::chrono::seconds{5};

std::uint64_t random_seed() {
  std::random_device source;
  return (std::uint64_t{source()} << 32) | source();
}

} // namespace

engine::engine(prepared from)
  : policy_{std::move(from.policy)}, loaded_{std::move(*from.loaded)}, providers_{std::move(from.providers)} {}

result<std::unique_ptr<engine>> engine::start(prepared from, supervisor_events events) {
  auto plan = std::move(from.plan);
  auto tls = std::move(from.tls);
  std::unique_ptr<engine> made{new engine{std::move(from)}};
  made->context_.emplace(clock::system(), made->policy_, random_seed());
  made->context_->tls = std::move(tls);
  made->certificates_.emplace(*made->context_);
  if (auto opened = made->open_resolver(); !opened)
    return std::unexpected{opened.error()};
  made->providers_->use_metrics(&made->context_->metrics);
  auto plugins = made->providers_->start(plan);
  if (!plugins)
    return std::unexpected{plugins.error()};
  made->context_->plugins = std::move(*plugins);
  made->context_->paused = made->policy_->settings.outbound.paused;
  made->context_->metrics.gauge("hedwig_build_info", HEDWIG_VERSION).set(1);
  auto now = made->context_->time.wall().time_since_epoch();
  made->context_->metrics.gauge("hedwig_start_time_seconds")
      .set(std::chrono::duration_cast<std::chrono::seconds>(now).count());
  if (auto opened = made->open_loops(); !opened)
    return std::unexpected{opened.error()};
  // Ready is who has a spool (it is open here), every listener and the console: whichever of the two comes last.
  made->ready_ = std::move(events.started);
  events.started = [engine = made.get()] { engine->one_part_started(); };
  made->start_actors(std::move(events));
  made->console_ = std::make_unique<admin_http>(*made->context_, *made->system_, made->supervisor_);
  if (auto opened = made->console_->open(); !opened)
    return std::unexpected{opened.error()};
  made->one_part_started();
  return made;
}

result<void> engine::open_resolver() {
  auto& settings = policy_->settings.dns;
  dns::resolver_settings wanted;
  for (auto& server : settings.servers)
    wanted.servers.push_back(server.text());
  wanted.query_timeout = std::chrono::ceil<std::chrono::milliseconds>(settings.timeout);
  wanted.mx_cache_entries = settings.cache_entries;
  wanted.query_time = &context_->metrics.histogram("hedwig_dns_lookup_seconds");
  wanted.waiting_max = settings.max_pending;
  if (!policy_->settings.outbound.ipv6)
    wanted.order = dns::address_order::ipv4_only;
  auto made = dns::unbound_resolver::make(wanted);
  if (!made)
    return std::unexpected{made.error()};
  resolver_ = std::move(*made);
  context_->resolver = resolver_.get();
  providers_->use_resolver(resolver_.get());
  return {};
}

result<void> engine::open_loops() {
  for (std::uint32_t i = 0; i < policy_->settings.process.io_loops; ++i) {
    auto loop = net::make_epoll_loop(clock::system());
    if (!loop)
      return std::unexpected{loop.error()};
    loops_.push_back(std::move(*loop));
  }
  return {};
}

void engine::start_actors(supervisor_events events) {
  auto threads = policy_->settings.process.scheduler_threads;
  caf_config_.set("scheduler.policy", caf::atom("sharing"))
      .set("scheduler.max-throughput", std::size_t{50})
      .set("scheduler.max-threads", std::size_t{threads});
  system_ = std::make_unique<caf::actor_system>(caf_config_);
  for (auto& loop : loops_) {
    units_.push_back(std::make_unique<io_unit>(*system_, *loop));
    context_->units.push_back(units_.back().get());
  }
  for (std::size_t i = 0; i < loops_.size(); ++i) {
    threads_.emplace_back([loop = loops_[i].get()] { loop->run(); });
    ::pthread_setname_np(threads_.back().native_handle(), ("io-" + std::to_string(i)).c_str());
  }
  supervisor_ = system_->spawn<supervisor>(*context_, std::move(events), inherited_listeners(policy_->settings));
}

void engine::one_part_started() {
  if (parts_waiting_.fetch_sub(1) > 1)
    return;
  context_->started = true;
  ready_();
}

void engine::drain() { caf::anon_send(supervisor_, hedwig::drain{}); }

void engine::stop_actors() {
  if (!system_)
    return;
  context_->draining = true;
  caf::anon_send_exit(supervisor_, caf::exit_reason::user_shutdown);
  for (auto& unit : units_)
    unit->post([unit = unit.get()] { unit->end_all(); });
  supervisor_ = nullptr;
  auto deadline = std::chrono::steady_clock::now() + end_timeout;
  while (system_->registry().running() > 0 && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
  if (auto left = system_->registry().running(); left > 0) {
    telemetry::log(level::error, component::main,
                   {"relay.hard-end", "actors did not end; what was acknowledged is on disk"}, {{"actors", left}});
    telemetry::flush_log();
    std::_Exit(1);
  }
}

engine::~engine() {
  if (console_)
    console_->close();
  console_.reset();
  if (providers_)
    providers_->use_resolver(nullptr);
  resolver_.reset(); // no call-back from here on
  stop_actors();
  for (auto& loop : loops_)
    loop->stop();
  for (auto& thread : threads_)
    thread.join();
  if (providers_) {
    providers_->stop();
    providers_->use_metrics(nullptr);
  }
  if (context_)
    context_->plugins = {};
  units_.clear();
  system_.reset();
}

void engine::refuse_reload(const std::vector<config::diagnostic>& errors) {
  context_->metrics.counter("hedwig_reloads_total", "refused").add();
  for (auto& one : errors)
    telemetry::log(level::error, component::config, {"config.error", "an error in the new configuration"},
                   {{"error", one.text()}});
  telemetry::log(level::error, component::config,
                 {"config.refused", "the new configuration has errors; the old one stays in force"},
                 {{"errors", errors.size()}});
}

void engine::look_at_certificates() { certificates_->look(); }

void engine::reload(const std::string& config_path) {
  auto [next, changes] = prepare_reload(config_path, loaded_, *providers_, context_->tls);
  if (!next.ok())
    return refuse_reload(next.errors);
  for (auto& one : next.warnings)
    telemetry::log(level::warn, component::config, {"config.warning", "the new configuration is doubtful"},
                   {{"warning", one.text()}});
  for (auto& key : changes.restart)
    telemetry::log(level::warn, component::config, {"config.needs-restart", "this key changed and waits for a restart"},
                   {{"key", key}});
  for (auto& key : changes.applied)
    telemetry::log(level::info, component::config, {"config.changed", "this key changed and is in force"},
                   {{"key", key}});
  providers_->reload(next.plan);
  if (auto levels = telemetry::level_filter_from_environment(next.policy->settings.log.level))
    telemetry::set_levels(*levels);
  auto& tls = next.policy->settings.server.tls;
  context_->tls.tickets->set_interval(tls.ticket_rotation);
  context_->tls.gate->set_limits(handshake_limits_of(tls));
  context_->replace_policy(std::move(next.policy));
  certificates_->start_anew();
  loaded_ = std::move(*next.loaded);
  context_->metrics.counter("hedwig_reloads_total", "applied").add();
  telemetry::log(level::info, component::config, {"config.reloaded", "configuration, keys and certificates read again"},
                 {{"changed", changes.applied.size()}, {"need_restart", changes.restart.size()}});
}

} // namespace hedwig::app
