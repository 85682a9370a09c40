// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace hedwig::check {

/// The threads on which a host calls its plugins: several calls at once, in no order.
class calling_threads {
public:
  explicit calling_threads(unsigned count);
  /// Without waiting for what a plugin does not return from: of a test that failed. finish() is the orderly end.
  ~calling_threads();
  calling_threads(const calling_threads&) = delete;
  calling_threads& operator=(const calling_threads&) = delete;

  void post(std::function<void()> call);
  /// Waits until every call has been made and has returned; false when that takes longer than a minute.
  bool wait_idle();
  /// Ends the threads; every call has returned then.
  void finish();

private:
  void work();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> calls_;
  std::size_t busy_ = 0;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

} // namespace hedwig::check
