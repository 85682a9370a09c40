// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/host_services.hpp"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

#include "sdk/check/config_watch.hpp"
#include "sdk/check/host.hpp"
#include "sdk/check/thread_class.hpp"

namespace hedwig::check {

namespace {

host_services& services_of(const hedwig_host* raw);

const hedwig_host_worker worker_table{sizeof(hedwig_host_worker), 0,
                                      [](const hedwig_host* raw, void (*run)(void*), void* context) {
                                        return services_of(raw).run([run, context] { run(context); });
                                      }};

const hedwig_host_timer timer_table{
    sizeof(hedwig_host_timer), 0,
    [](const hedwig_host* raw, hedwig_duration_ns delay, void (*fire)(void*), void* context) {
      return services_of(raw).start_timer(delay, [fire, context] { fire(context); });
    },
    [](const hedwig_host* raw, std::uint64_t timer) -> std::int32_t {
      services_of(raw).judge_thread("hedwig_host_timer.cancel", this_thread_class() != thread_class::event);
      return services_of(raw).cancel_timer(timer);
    }};

// Metrics are taken and forgotten.
const hedwig_host_metric metric_table{
    sizeof(hedwig_host_metric), 0,
    [](const hedwig_host* raw, std::int32_t, const char*, const char*, const char*) -> std::uint64_t {
      services_of(raw).judge_thread("hedwig_host_metric.declare", this_thread_class() == thread_class::control);
      return 1;
    },
    [](const hedwig_host*, std::uint64_t, double) {}, [](const hedwig_host*, std::uint64_t, double) {}};

/// The services of a host are found through an id of the kit's own, so that the table needs no second pointer.
constexpr const char* services_id = "hedwig.check.services";

host_services& services_of(const hedwig_host* raw) {
  return *const_cast<host_services*>(static_cast<const host_services*>(raw->get_interface(raw, services_id)));
}

} // namespace

host_services::host_services(const test_clock& clock, host_kind kind)
  : clock_{clock}, kind_{kind}, worker_{&worker_table}, timer_{&timer_table}, metric_{&metric_table},
    config_{&watched_settings()} {
  if (kind.structs == shape::plain)
    return;
  worker_ = show(kind.structs, worker_table);
  timer_ = show(kind.structs, timer_table);
  metric_ = show(kind.structs, metric_table);
  config_ = show(kind.structs, watched_settings());
}

host_services::~host_services() {
  {
    std::lock_guard guard{mutex_};
    stopping_ = true;
  }
  changed_.notify_all();
  for (auto& one : pool_)
    one.join();
  if (timekeeper_.joinable())
    timekeeper_.join();
}

const void* host_services::find(const char* raw) {
  std::string_view id{raw};
  if (id == HEDWIG_HOST_WORKER && !kind_.bare)
    return worker_;
  if (id == HEDWIG_HOST_TIMER && !kind_.bare)
    return timer_;
  if (id == HEDWIG_HOST_METRIC && !kind_.bare)
    return metric_;
  if (id == HEDWIG_HOST_CONFIG)
    return config_;
  return id == services_id ? this : nullptr;
}

hedwig_status host_services::run(std::function<void()> one) {
  std::lock_guard guard{mutex_};
  if (queue_.size() >= queue_max)
    return HEDWIG_E_BUSY;
  queue_.push_back(std::move(one));
  if (pool_.empty())
    for (int i = 0; i < pool_threads; ++i)
      pool_.push_back(start_kit_thread([this] { work(); }));
  changed_.notify_all();
  return HEDWIG_OK;
}

void host_services::work() {
  as_thread worker{thread_class::worker};
  std::unique_lock guard{mutex_};
  for (;;) {
    changed_.wait(guard, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty())
      return;
    auto one = std::move(queue_.front());
    queue_.pop_front();
    ++working_;
    guard.unlock();
    one();
    guard.lock();
    --working_;
    changed_.notify_all();
  }
}

std::uint64_t host_services::start_timer(hedwig_duration_ns delay, std::function<void()> fire) {
  std::lock_guard guard{mutex_};
  auto id = ++last_timer_;
  timers_[id] = {clock_.steady() + delay, std::move(fire)};
  if (!timekeeper_.joinable())
    timekeeper_ = start_kit_thread([this] { keep_time(); });
  return id;
}

bool host_services::cancel_timer(std::uint64_t id) {
  std::unique_lock guard{mutex_};
  bool waiting = timers_.erase(id) != 0;
  changed_.wait(guard, [&] { return firing_ != id; });
  return waiting;
}

void host_services::forget_timers() {
  std::lock_guard guard{mutex_};
  timers_.clear();
}

std::size_t host_services::waiting() {
  std::lock_guard guard{mutex_};
  return timers_.size() + queue_.size();
}

bool host_services::wait_idle() {
  std::unique_lock guard{mutex_};
  return changed_.wait_for(guard, std::chrono::minutes{1},
                           [this] { return queue_.empty() && working_ == 0 && firing_ == 0; });
}

void host_services::judge_thread(const char* function, bool allowed) {
  constexpr std::size_t wrong_max = 100;
  std::lock_guard guard{mutex_};
  if (!allowed && wrong_threads_.size() < wrong_max)
    wrong_threads_.push_back(fmt::format("{} was called on {}", function, name_of(this_thread_class())));
}

std::vector<std::string> host_services::wrong_threads() {
  std::lock_guard guard{mutex_};
  return wrong_threads_;
}

void host_services::keep_time() {
  as_thread event{thread_class::event};
  std::unique_lock guard{mutex_};
  while (!stopping_) {
    auto now = clock_.steady();
    auto due = std::find_if(timers_.begin(), timers_.end(), [now](auto& one) { return one.second.due <= now; });
    if (due == timers_.end()) {
      changed_.wait_for(guard, std::chrono::milliseconds{10}); // the clock may be pushed at any moment
      continue;
    }
    auto fire = std::move(due->second.fire);
    firing_ = due->first;
    timers_.erase(due);
    guard.unlock();
    fire();
    guard.lock();
    firing_ = 0;
    changed_.notify_all();
  }
}

} // namespace hedwig::check
