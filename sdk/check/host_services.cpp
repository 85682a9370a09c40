// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/host_services.hpp"

#include <hedwig/testing/settings.hpp>

#include <algorithm>
#include <string_view>

#include "sdk/check/host.hpp"

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
    [](const hedwig_host* raw, std::uint64_t timer) -> std::int32_t { return services_of(raw).cancel_timer(timer); }};

// Metrics are taken and forgotten.
const hedwig_host_metric metric_table{
    sizeof(hedwig_host_metric), 0,
    [](const hedwig_host*, std::int32_t, const char*, const char*, const char*) -> std::uint64_t { return 1; },
    [](const hedwig_host*, std::uint64_t, double) {}, [](const hedwig_host*, std::uint64_t, double) {}};

/// The services of a host are found through an id of the kit's own, so that the table needs no second pointer.
constexpr const char* services_id = "hedwig.check.services";

host_services& services_of(const hedwig_host* raw) {
  return *const_cast<host_services*>(static_cast<const host_services*>(raw->get_interface(raw, services_id)));
}

} // namespace

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
  if (id == HEDWIG_HOST_WORKER)
    return &worker_table;
  if (id == HEDWIG_HOST_TIMER)
    return &timer_table;
  if (id == HEDWIG_HOST_METRIC)
    return &metric_table;
  if (id == HEDWIG_HOST_CONFIG)
    return &sdk::testing::settings_table();
  return id == services_id ? this : nullptr;
}

hedwig_status host_services::run(std::function<void()> one) {
  std::lock_guard guard{mutex_};
  if (queue_.size() >= queue_max)
    return HEDWIG_E_BUSY;
  queue_.push_back(std::move(one));
  if (pool_.empty())
    for (int i = 0; i < pool_threads; ++i)
      pool_.emplace_back([this] { work(); });
  changed_.notify_all();
  return HEDWIG_OK;
}

void host_services::work() {
  std::unique_lock guard{mutex_};
  for (;;) {
    changed_.wait(guard, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty())
      return;
    auto one = std::move(queue_.front());
    queue_.pop_front();
    guard.unlock();
    one();
    guard.lock();
  }
}

std::uint64_t host_services::start_timer(hedwig_duration_ns delay, std::function<void()> fire) {
  std::lock_guard guard{mutex_};
  auto id = ++last_timer_;
  timers_[id] = {clock_.steady() + delay, std::move(fire)};
  if (!timekeeper_.joinable())
    timekeeper_ = std::thread{[this] { keep_time(); }};
  return id;
}

bool host_services::cancel_timer(std::uint64_t id) {
  std::unique_lock guard{mutex_};
  bool waiting = timers_.erase(id) != 0;
  changed_.wait(guard, [&] { return firing_ != id; });
  return waiting;
}

void host_services::keep_time() {
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
