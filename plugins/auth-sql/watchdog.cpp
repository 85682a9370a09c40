// SPDX-License-Identifier: Apache-2.0
#include "watchdog.hpp"

#include <mutex>

namespace hedwig::auth_sql {

struct watchdog::shared {
  std::mutex mutex;
  std::function<void()> cut;
  bool over = false;
  bool barked = false;
};

watchdog::watchdog(sdk::timers& timers, std::chrono::nanoseconds patience, std::function<void()> cut)
  : timers_{timers}, shared_{std::make_shared<shared>()} {
  shared_->cut = std::move(cut);
  id_ = timers.start(patience, [mine = shared_] {
    std::lock_guard lock{mine->mutex};
    if (mine->over)
      return;
    mine->barked = true;
    mine->cut();
  });
}

watchdog::~watchdog() {
  {
    std::lock_guard lock{shared_->mutex};
    shared_->over = true;
  }
  timers_.cancel(id_);
}

bool watchdog::barked() const noexcept {
  std::lock_guard lock{shared_->mutex};
  return shared_->barked;
}

} // namespace hedwig::auth_sql
