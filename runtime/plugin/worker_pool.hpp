// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace hedwig::plugin {

/// Threads of one provider instance for work that blocks. Threads start when there is work, up to `threads`; up to
/// `queue_max` jobs wait. Thread-safe.
class worker_pool {
public:
  using job = std::move_only_function<void()>;

  /// `threads` 0: jobs wait until run_queued(). The name is that of the threads (15 bytes are shown).
  worker_pool(unsigned threads, std::size_t queue_max, std::string name);
  /// Drops what waits. Threads that are in a job longer than `shutdown_wait` are left behind: a plugin that hangs must
  /// not hold up the end of the process.
  ~worker_pool();
  worker_pool(const worker_pool&) = delete;
  worker_pool& operator=(const worker_pool&) = delete;

  static constexpr std::chrono::seconds shutdown_wait{5};

  /// False when the queue is full; `work` is destroyed then. `always` ignores the bound.
  bool submit(job work, bool always = false);
  /// Runs what waits on this thread; how many ran. For a pool without threads.
  std::size_t run_queued();

  /// Waits until no job waits or runs, up to shutdown_wait; false after that. Not from a job.
  bool wait_idle() const;
  [[nodiscard]] std::size_t queued() const;
  [[nodiscard]] unsigned threads() const; ///< started so far

private:
  struct state;
  std::shared_ptr<state> state_;
};

} // namespace hedwig::plugin
