// SPDX-License-Identifier: Apache-2.0
#include "runtime/plugin/worker_pool.hpp"

#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace hedwig::plugin {

// Shared with the threads, so that one that hangs in a plugin may outlive the pool.
struct worker_pool::state {
  std::mutex mutex;
  std::condition_variable work_there;
  std::condition_variable thread_gone; // or idle
  std::deque<job> queue;
  std::vector<std::thread> threads;
  std::string name;
  std::size_t queue_max = 0;
  unsigned threads_max = 0;
  unsigned idle = 0;
  unsigned alive = 0;
  bool stopping = false;
};

namespace {

template <class State>
void work(std::shared_ptr<State> shared) {
  auto& s = *shared;
  pthread_setname_np(pthread_self(), s.name.substr(0, 15).c_str());
  std::unique_lock lock{s.mutex};
  for (;;) {
    ++s.idle;
    if (s.queue.empty() && s.idle == s.alive)
      s.thread_gone.notify_all();
    s.work_there.wait(lock, [&] { return s.stopping || !s.queue.empty(); });
    --s.idle;
    if (s.stopping)
      break;
    auto next = std::move(s.queue.front());
    s.queue.pop_front();
    lock.unlock();
    next();
    next = nullptr;
    lock.lock();
  }
  --s.alive;
  s.thread_gone.notify_all();
}

} // namespace

worker_pool::worker_pool(unsigned threads, std::size_t queue_max, std::string name)
  : state_{std::make_shared<state>()} {
  state_->threads_max = threads;
  state_->queue_max = queue_max;
  state_->name = std::move(name);
}

worker_pool::~worker_pool() {
  auto& s = *state_;
  std::unique_lock lock{s.mutex};
  s.stopping = true;
  auto dropped = std::exchange(s.queue, {});
  s.work_there.notify_all();
  // The last reference to an instance may go on one of its own workers.
  auto self = std::this_thread::get_id();
  unsigned own = 0;
  for (auto& thread : s.threads)
    own += thread.get_id() == self ? 1 : 0;
  s.thread_gone.wait_for(lock, shutdown_wait, [&] { return s.alive <= own; });
  auto all_gone = s.alive == 0;
  auto threads = std::exchange(s.threads, {});
  lock.unlock();
  for (auto& thread : threads) {
    if (all_gone)
      thread.join();
    else
      thread.detach();
  }
}

bool worker_pool::submit(job work_item, bool always) {
  auto& s = *state_;
  std::lock_guard lock{s.mutex};
  // A thread that is about to take a job counts as free: the bound is on what waits beyond the threads.
  auto room = s.queue_max + (s.threads_max - s.alive) + s.idle;
  if (s.stopping || (!always && s.queue.size() >= room))
    return false;
  s.queue.push_back(std::move(work_item));
  if (s.queue.size() > s.idle && s.alive < s.threads_max) {
    ++s.alive;
    s.threads.emplace_back(work<state>, state_);
  } else {
    s.work_there.notify_one();
  }
  return true;
}

std::size_t worker_pool::run_queued() {
  auto& s = *state_;
  for (std::size_t ran = 0;; ++ran) {
    std::unique_lock lock{s.mutex};
    if (s.queue.empty())
      return ran;
    auto next = std::move(s.queue.front());
    s.queue.pop_front();
    lock.unlock();
    next();
  }
}

bool worker_pool::wait_idle() const {
  auto& s = *state_;
  std::unique_lock lock{s.mutex};
  return s.thread_gone.wait_for(lock, shutdown_wait, [&] { return s.queue.empty() && s.idle == s.alive; });
}

std::size_t worker_pool::queued() const {
  std::lock_guard lock{state_->mutex};
  return state_->queue.size();
}

unsigned worker_pool::threads() const {
  std::lock_guard lock{state_->mutex};
  return state_->alive;
}

} // namespace hedwig::plugin
