// SPDX-License-Identifier: Apache-2.0
// hedwig/reloadable.hpp - settings that reload() replaces while calls use them.
#pragma once

#include <memory>
#include <mutex>
#include <utility>

namespace hedwig::sdk {

/// Holds what is in force. Who asked for it keeps it until he is through, whatever comes meanwhile. Movable before it
/// is shared, as the provider that has it is; otherwise legal on every thread.
template <class T>
class reloadable {
public:
  explicit reloadable(std::shared_ptr<T> first = nullptr) : held_{std::make_unique<held>()} {
    held_->value = std::move(first);
  }

  std::shared_ptr<T> current() const {
    std::lock_guard lock{held_->mutex};
    return held_->value;
  }
  /// What was in force ends outside the lock, where nobody else has it.
  void replace(std::shared_ptr<T> next) {
    {
      std::lock_guard lock{held_->mutex};
      held_->value.swap(next);
    }
  }

private:
  struct held {
    std::mutex mutex;
    std::shared_ptr<T> value;
  };
  std::unique_ptr<held> held_;
};

} // namespace hedwig::sdk
