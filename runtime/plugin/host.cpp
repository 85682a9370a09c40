// SPDX-License-Identifier: Apache-2.0
#include "runtime/plugin/host.hpp"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "runtime/plugin/delivery.hpp"
#include "runtime/plugin/instance.hpp"
#include "runtime/plugin/instance_host.hpp"
#include "runtime/plugin/lookup_desk.hpp"
#include "runtime/plugin/op_table.hpp"
#include "runtime/plugin/timer_queue.hpp"

namespace hedwig::plugin {

struct host::state {
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<std::move_only_function<void()>> posted;
  std::thread thread;
  bool woken = false;
  bool stopping = false;
};

host::host(host_options options)
  : options_{std::move(options)}, ops_{std::make_unique<op_table>(options_.ops_max)},
    timers_{std::make_unique<timer_queue>(options_.timers_max)}, lookups_{std::make_unique<lookup_desk>(*this)},
    state_{std::make_shared<state>()} {
  if (options_.threads)
    state_->thread = std::thread{[this] { run(); }};
}

host::~host() { stop(); }

void host::use_resolver(dns::resolver* resolver) { lookups_->use(resolver); }

void host::stop() {
  {
    std::lock_guard lock{state_->mutex};
    state_->stopping = true;
    state_->wake.notify_all();
  }
  if (!state_->thread.joinable())
    return;
  // What was posted may have held the last reference.
  if (state_->thread.get_id() == std::this_thread::get_id())
    state_->thread.detach();
  else
    state_->thread.join();
}

void host::wake() {
  std::lock_guard lock{state_->mutex};
  state_->woken = true;
  state_->wake.notify_one();
}

void host::post(std::move_only_function<void()> work) {
  std::lock_guard lock{state_->mutex};
  state_->posted.push_back(std::move(work));
  state_->woken = true;
  state_->wake.notify_one();
}

void host::run() {
  pthread_setname_np(pthread_self(), "plugin-host");
  auto shared = state_;
  auto& s = *shared;
  auto stopping = [&] {
    std::lock_guard lock{s.mutex};
    return s.stopping;
  };
  auto next_tick = time().steady() + options_.tick;
  std::unique_lock lock{s.mutex};
  while (!s.stopping) {
    auto due = std::min(next_tick, timers_->next().value_or(next_tick));
    s.wake.wait_for(lock, std::max(due - time().steady(), std::chrono::nanoseconds{0}),
                    [&] { return s.woken || s.stopping; });
    s.woken = false;
    lock.unlock();
    run_posted(s);
    if (stopping())
      return;
    auto now = time().steady();
    timers_->fire_due(now);
    if (now >= next_tick) {
      next_tick = now + options_.tick;
      expire();
    }
    lock.lock();
  }
}

void host::run_posted(state& shared) {
  for (;;) {
    std::unique_lock lock{shared.mutex};
    if (shared.posted.empty() || shared.stopping)
      return;
    auto work = std::move(shared.posted.front());
    shared.posted.pop_front();
    lock.unlock();
    work();
  }
}

void host::run_due() {
  for (;;) {
    if (!options_.threads)
      run_posted(*state_);
    auto fired = timers_->fire_due(time().steady());
    expire();
    std::lock_guard lock{state_->mutex};
    if (fired == 0 && (options_.threads || state_->posted.empty()))
      return;
  }
}

void host::expire() {
  struct given_up {
    std::shared_ptr<instance> owner;
    hedwig_op* op;
  };
  std::vector<given_up> cancelled;
  delivery answers;
  ops_->expire(time().steady(), [&](hedwig_op* handle, pending_op& op) {
    op.owner->count_timeout(op);
    cancelled.push_back({op.owner, handle});
    answers.add(std::move(op.reply),
                std::unexpected{error{HEDWIG_E_TIMEOUT, "the provider did not answer in time", op.owner->name(), 0}});
  });
  answers.send();
  for (auto& [owner, op] : cancelled)
    owner->cancel(op);
}

void host::log(int level, std::string_view instance, std::string_view message,
               std::span<const std::pair<std::string_view, std::string_view>> fields) const noexcept {
  if (options_.log && level >= options_.log->level())
    options_.log->log({level, instance, message, fields});
}

void host::report(int level, const telemetry::event& what, std::string_view instance,
                  std::span<const std::pair<std::string_view, std::string_view>> fields) const noexcept {
  if (options_.log && level >= options_.log->level())
    options_.log->log({level, instance, what.text, fields, &what});
}

} // namespace hedwig::plugin
