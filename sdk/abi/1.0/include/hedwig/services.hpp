// SPDX-License-Identifier: Apache-2.0
// hedwig/services.hpp - C++20 faces of the host's workers, timers and metrics.
//
// Each is made from the host that the provider's constructor is given, and kept in the provider. Work that throws is
// logged as an error, and nothing else comes of it.
#pragma once

#include <map>
#include <mutex>

#include "plugin.hpp"

namespace hedwig::sdk {

namespace detail {

/// Runs `work`; what it throws goes to the log as `what`.
template <class Work>
void run_logged(const host& h, const char* what, Work&& work) noexcept {
  try {
    work();
  } catch (const std::exception& e) {
    h.log(HEDWIG_LOG_ERROR, what, {{"reason", e.what()}});
  } catch (...) {
    h.log(HEDWIG_LOG_ERROR, what);
  }
}

/// Call-backs that the host owes, each under a number of its own. The host gets a ticket as context: it is good until
/// its call-back is taken out.
template <class Callback>
class owed_calls : public std::enable_shared_from_this<owed_calls<Callback>> {
public:
  struct ticket {
    std::shared_ptr<owed_calls> owner;
    std::uint64_t number;
  };

  explicit owed_calls(const host& h) noexcept : owner{h} {}

  ticket* add(Callback done) {
    std::lock_guard guard{mutex_};
    auto number = ++last_;
    auto made = std::make_unique<ticket>(this->shared_from_this(), number);
    auto* raw = made.get();
    open_.emplace(number, entry{std::move(done), std::move(made), 0});
    return raw;
  }
  /// The host's id of what is under `number`, unless that has been taken meanwhile.
  void named(std::uint64_t number, std::uint64_t id) {
    std::lock_guard guard{mutex_};
    if (auto at = open_.find(number); at != open_.end())
      at->second.id = id;
  }
  /// Null when it has been taken.
  Callback take(std::uint64_t number) {
    std::lock_guard guard{mutex_};
    auto node = open_.extract(number);
    return node.empty() ? Callback{} : std::move(node.mapped().done);
  }
  /// Takes the call-back with the host's id; null when it has been taken.
  Callback take_named(std::uint64_t id) {
    std::lock_guard guard{mutex_};
    for (auto at = open_.begin(); at != open_.end(); ++at)
      if (at->second.id == id)
        return std::move(open_.extract(at).mapped().done);
    return {};
  }
  /// Takes all; `cancel(id)` is called for each that the host knows.
  template <class Cancel>
  void clear(Cancel cancel) noexcept {
    std::map<std::uint64_t, entry> left;
    {
      std::lock_guard guard{mutex_};
      left.swap(open_);
    }
    for (auto& [number, one] : left)
      if (one.id != 0)
        cancel(one.id);
  }

  const host owner;

private:
  struct entry {
    Callback done;
    std::unique_ptr<ticket> context;
    std::uint64_t id;
  };
  std::mutex mutex_;
  std::map<std::uint64_t, entry> open_;
  std::uint64_t last_ = 0;
};

} // namespace detail

/// The host's threads for work that blocks.
class workers {
public:
  explicit workers(const host& h) : host_{h}, api_{h.service<hedwig_host_worker>(HEDWIG_HOST_WORKER)} {}

  /// Runs `work` once on a worker thread; false, and it is dropped, when too much waits. Legal on every thread.
  [[nodiscard]] bool submit(std::function<void()> work) const {
    if (api_ == nullptr)
      return false;
    auto made = std::make_unique<job>(host_, std::move(work));
    if (api_->submit(host_.raw(), &run, made.get()) != HEDWIG_OK)
      return false;
    static_cast<void>(made.release());
    return true;
  }

private:
  struct job {
    host owner;
    std::function<void()> work;
  };
  static void run(void* context) noexcept {
    std::unique_ptr<job> mine{static_cast<job*>(context)};
    detail::run_logged(mine->owner, "work on a worker thread failed", mine->work);
  }
  host host_;
  const hedwig_host_worker* api_;
};

/// One-shot timers on the host's steady clock. What is pending when this goes is cancelled. Legal on every thread.
class timers {
public:
  explicit timers(const host& h)
    : api_{h.service<hedwig_host_timer>(HEDWIG_HOST_TIMER)}, calls_{std::make_shared<calls>(h)} {}
  timers(timers&&) = default;
  timers& operator=(timers&&) = delete;
  ~timers() {
    if (calls_)
      calls_->clear([this](std::uint64_t id) { api_->cancel(calls_->owner.raw(), id); });
  }

  /// Calls `fire` once on one of the host's event threads, where it must not block. The timer's id, or 0 when the host
  /// refused. After the provider's stop() nothing fires.
  std::uint64_t start(std::chrono::nanoseconds delay, std::function<void()> fire) {
    if (api_ == nullptr)
      return 0;
    auto* ticket = calls_->add(std::move(fire));
    auto number = ticket->number;
    auto id = api_->start(calls_->owner.raw(), delay.count(), &fired, ticket);
    if (id == 0)
      static_cast<void>(calls_->take(number));
    else
      calls_->named(number, id);
    return id;
  }
  /// True: it will not fire and is not firing.
  bool cancel(std::uint64_t id) {
    if (api_ == nullptr || id == 0 || api_->cancel(calls_->owner.raw(), id) == 0)
      return false;
    static_cast<void>(calls_->take_named(id));
    return true;
  }

private:
  using calls = detail::owed_calls<std::function<void()>>;
  static void fired(void* context) noexcept {
    auto mine = *static_cast<calls::ticket*>(context);
    if (auto fire = mine.owner->take(mine.number))
      detail::run_logged(mine.owner->owner, "work of a timer failed", fire);
  }
  const hedwig_host_timer* api_;
  std::shared_ptr<calls> calls_;
};

/// One series of this instance. A copyable handle; legal on every thread. One that the host refused does nothing.
class metric {
public:
  metric() noexcept = default;
  metric(const host& h, int kind, const char* name, const char* unit, const char* help) noexcept
    : host_{h.raw()}, api_{h.service<hedwig_host_metric>(HEDWIG_HOST_METRIC)},
      id_{api_ == nullptr ? 0 : api_->declare(host_, kind, name, unit, help)} {}

  /// Adds to a counter or a gauge; observes with a histogram.
  void add(double value = 1) const noexcept {
    if (id_ != 0)
      api_->add(host_, id_, value);
  }
  /// Sets a gauge.
  void set(double value) const noexcept {
    if (id_ != 0)
      api_->set(host_, id_, value);
  }

private:
  const hedwig_host* host_ = nullptr;
  const hedwig_host_metric* api_ = nullptr;
  std::uint64_t id_ = 0;
};

/// Declares a series: in the provider's constructor or in start(). `name` is lower case with underscores; the host puts
/// a prefix before it and adds the instance as a label.
inline metric counter(const host& h, const char* name, const char* unit, const char* help) noexcept {
  return {h, HEDWIG_METRIC_COUNTER, name, unit, help};
}
inline metric gauge(const host& h, const char* name, const char* unit, const char* help) noexcept {
  return {h, HEDWIG_METRIC_GAUGE, name, unit, help};
}
/// Observations are in seconds.
inline metric histogram(const host& h, const char* name, const char* help) noexcept {
  return {h, HEDWIG_METRIC_HISTOGRAM, name, "seconds", help};
}

} // namespace hedwig::sdk
