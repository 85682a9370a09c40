// SPDX-License-Identifier: Apache-2.0
#include "actors/supervisor.hpp"

#include "actors/authenticator.hpp"
#include "actors/bouncer.hpp"
#include "actors/dispatcher.hpp"
#include "actors/listener.hpp"
#include "actors/retry_timer.hpp"
#include "actors/signer.hpp"
#include "actors/spooler.hpp"
#include "runtime/telemetry/log.hpp"

#include <fcntl.h>

#include <algorithm>

namespace hedwig {

using telemetry::component;
using telemetry::level;

namespace {

constexpr auto restart_pause_first = std::chrono::milliseconds{100};
constexpr auto restart_pause_max = std::chrono::seconds{30};
/// An actor that lived this long failed for a new reason.
constexpr auto restart_forgotten = std::chrono::minutes{2};
constexpr auto drain_look = std::chrono::milliseconds{50};
/// The least that lost attempts wait: see attempts_lost.
constexpr auto lost_pause = std::chrono::seconds{1};

std::chrono::milliseconds pause_before_restart(std::uint32_t failures) {
  return std::min<std::chrono::milliseconds>(restart_pause_first * (1u << std::min(failures, 12u)), restart_pause_max);
}

struct restart_now {
  std::size_t child;
};
struct look_now {};

} // namespace

} // namespace hedwig

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::restart_now)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::look_now)

namespace hedwig {

supervisor::supervisor(caf::actor_config& config, relay_context& context, supervisor_events events,
                       inherited_sockets inherited)
  : observed_actor{config, context, "supervisor", {}}, events_{std::move(events)}, inherited_{std::move(inherited)} {}

caf::behavior supervisor::make_behavior() {
  set_state("starting");
  set_down_handler([this](const caf::down_msg& down) { on_down(down); });
  start_all();
  return {[this](const listener_open& which) { on_listening(which.index); },
          [this](const restart_now& what) { restart(what.child); }, [this](drain) { on_drain(); },
          [this](look_now) { look_whether_drained(); },
          [this](const console_request& request) { on_console(request); }};
}

// ---- starting

void supervisor::start_all() {
  auto policy = relay().policy();
  auto add = [this](role what, std::size_t index = 0) { children_.push_back({.what = what, .index = index}); };
  add(role::spooler);
  for (std::uint32_t i = 0; i < policy->settings.process.scheduler_threads; ++i)
    add(role::signer, i);
  add(role::dispatcher);
  add(role::bouncer);
  add(role::authenticator);
  add(role::retry_timer);
  for (auto& one : children_)
    start(one);
  publish();
  for (std::size_t i = 0; i < policy->settings.server.listeners.size(); ++i) {
    add(role::listener, i);
    start(children_.back());
  }
}

void supervisor::start(child_actor& what) {
  what.actor = spawn_role(what);
  what.born = relay().time.steady();
  monitor(what.actor);
}

caf::actor supervisor::spawn_role(const child_actor& what) {
  auto place = child();
  place.restarts = what.restarts;
  switch (what.what) {
  case role::spooler:
    return spawn<spooler>(relay(), place);
  case role::dispatcher:
    return spawn<dispatcher>(relay(), place);
  case role::signer:
    place.label = std::to_string(what.index);
    return spawn<signer>(relay(), place);
  case role::authenticator:
    return spawn<authenticator>(relay(), place);
  case role::bouncer:
    return spawn<bouncer>(relay(), place);
  case role::retry_timer:
    return spawn<retry_timer>(relay(), place);
  case role::listener:
    break;
  }
  return spawn_listener(what);
}

caf::actor supervisor::spawn_listener(const child_actor& what) {
  listener_place at{
      .index = what.index, .inherited = {}, .handles = handles_, .owner = caf::actor_cast<caf::actor>(this)};
  // A copy: the listener closes what it is given, and the one after it needs the socket too.
  if (auto given = inherited_.find(what.index); given != inherited_.end())
    at.inherited = ::fcntl(given->second, F_DUPFD_CLOEXEC, 0);
  auto place = child(relay().policy()->settings.server.listeners[what.index].name);
  place.restarts = what.restarts;
  return spawn_pinned<listener>(system(), relay().next_unit(), relay(), place, std::move(at));
}

void supervisor::publish() {
  auto fresh = std::make_shared<wiring>();
  for (auto& one : children_) {
    switch (one.what) {
    case role::spooler:
      fresh->spooler = one.actor;
      break;
    case role::dispatcher:
      fresh->dispatcher = one.actor;
      break;
    case role::signer:
      fresh->signers.push_back(one.actor);
      break;
    case role::authenticator:
      fresh->authenticator = one.actor;
      break;
    case role::bouncer:
      fresh->bouncer = one.actor;
      break;
    case role::retry_timer:
      fresh->retry_timer = one.actor;
      break;
    case role::listener:
      break;
    }
  }
  handles_ = std::move(fresh);
  // In the order of the children: the spooler knows everyone before anyone asks it something.
  for (auto& one : children_)
    if (one.what != role::authenticator)
      send(one.actor, rewire{handles_});
}

void supervisor::on_listening(std::size_t) {
  ++listening_;
  if (!started_ && listening_ == relay().policy()->settings.server.listeners.size()) {
    started_ = true;
    set_state("running");
    events_.started();
  }
}

// ---- failures

const char* supervisor::name_of(role what) noexcept {
  constexpr const char* names[] = {"spooler", "dispatcher",  "signer",  "authenticator",
                                   "bouncer", "retry-timer", "listener"};
  return names[static_cast<std::size_t>(what)];
}

void supervisor::on_down(const caf::down_msg& down) {
  auto failed =
      std::ranges::find_if(children_, [&](auto& one) { return one.actor && one.actor->address() == down.source; });
  if (failed == children_.end())
    return;
  if (failed->what == role::spooler) { // while draining, too: nothing would end any more
    events_.failed("the spooler failed: what is on disk is safe, start again");
    return;
  }
  if (draining_) { // nothing is started again, and what the dispatcher had in hand rests until the next start
    if (failed->what == role::dispatcher)
      send(handles_->spooler, attempts_lost{});
    return;
  }
  if (failed->what == role::listener && !started_) {
    events_.failed("a listener could not be opened");
    return;
  }
  if (relay().time.steady() - failed->born > restart_forgotten)
    failed->failures = 0;
  auto pause = pause_before_restart(failed->failures);
  ++failed->failures;
  ++failed->restarts;
  auto name = name_of(failed->what);
  relay().counts.restarts(name).add();
  telemetry::log(level::error, component::supervisor, {"actor.restart", "it failed and is started again after a pause"},
                 {{"actor", name}, {"restarts", failed->restarts}, {"pause_ms", pause}});
  delayed_send(this, pause, restart_now{static_cast<std::size_t>(failed - children_.begin())});
}

void supervisor::restart(std::size_t number) {
  auto& what = children_[number];
  if (draining_) {
    if (what.what == role::dispatcher)
      send(handles_->spooler, attempts_lost{});
    return;
  }
  start(what);
  if (what.what == role::listener)
    return;
  publish(); // from this the dispatcher knows that what the signer before had in hand is to be signed by another
  // What it had in hand, messages in its mailbox included, is given out again.
  if (what.what == role::dispatcher)
    send(handles_->spooler, attempts_lost{.domains = {},
                                          .pause = std::max<std::chrono::nanoseconds>(
                                              lost_pause, pause_before_restart(what.failures - 1))});
}

// ---- the end

void supervisor::on_drain() {
  if (std::exchange(draining_, true))
    return;
  set_state("draining");
  relay().draining = true;
  for (auto* unit : relay().units)
    unit->post([unit] {
      for (auto* actor : std::vector<pinned_actor*>{unit->actors()}) // drain() may end some of them
        actor->drain();
    });
  send(handles_->dispatcher, drain{});
  delayed_send(this, drain_look, look_now{});
}

void supervisor::look_whether_drained() {
  if (relay().sessions_open.load() > 0 || relay().deliveries_open.load() > 0 || relay().attempts_open.load() > 0) {
    delayed_send(this, drain_look, look_now{});
    return;
  }
  events_.drained();
}

void supervisor::on_exit() {
  if (!relay().draining)
    events_.failed("the supervisor failed: what is on disk is safe, start again");
  for (auto& one : children_)
    caf::anon_send_exit(one.actor, caf::exit_reason::user_shutdown);
  children_.clear();
  handles_.reset();
}

void supervisor::on_console(const console_request& request) { send(handles_->spooler, request); }

} // namespace hedwig
