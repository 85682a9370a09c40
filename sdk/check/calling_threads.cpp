// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/calling_threads.hpp"

#include "sdk/check/host.hpp"

namespace hedwig::check {

calling_threads::calling_threads(unsigned count) {
  for (unsigned i = 0; i < count; ++i)
    threads_.emplace_back([this] { work(); });
}

calling_threads::~calling_threads() {
  for (auto& one : threads_)
    if (one.joinable())
      one.detach();
}

void calling_threads::post(std::function<void()> call) {
  std::lock_guard guard{mutex_};
  calls_.push_back(std::move(call));
  changed_.notify_all();
}

bool calling_threads::wait_idle() {
  std::unique_lock guard{mutex_};
  return changed_.wait_for(guard, host::wait_max(), [this] { return calls_.empty() && busy_ == 0; });
}

void calling_threads::finish() {
  {
    std::lock_guard guard{mutex_};
    ending_ = true;
  }
  changed_.notify_all();
  for (auto& one : threads_)
    one.join();
  threads_.clear();
}

void calling_threads::work() {
  std::unique_lock guard{mutex_};
  for (;;) {
    changed_.wait(guard, [this] { return ending_ || !calls_.empty(); });
    if (calls_.empty())
      return;
    auto call = std::move(calls_.front());
    calls_.pop_front();
    ++busy_;
    guard.unlock();
    call();
    guard.lock();
    --busy_;
    changed_.notify_all();
  }
}

} // namespace hedwig::check
