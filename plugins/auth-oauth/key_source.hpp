// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/services.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "https.hpp"
#include "keys.hpp"

namespace hedwig::auth_oauth {

/// What is told of each read of the keys; true: it succeeded. Thread-safe.
using read_counter = std::function<void(bool)>;

/// The keys that tokens are signed with, read anew at an interval and when a token names one that is not there. Those
/// read last serve until others have been read. Thread-safe.
class key_source : public std::enable_shared_from_this<key_source> {
public:
  /// Keys of one moment; `generation` changes when they do.
  struct held_keys {
    key_set keys;
    std::uint64_t generation = 0;
  };

  key_source(sdk::host host, std::shared_ptr<const settings> from, read_counter count);

  /// Reads them for the first time: from a file at once, throwing failure(CONFIG) when that does not do; from a server
  /// soon, on a worker. [control]
  void begin();
  /// Before begin(): the keys of another source serve until there are others, if they are of the same place.
  void inherit(const key_source& before);
  /// Nothing is read at an interval any more. [control]
  void end();

  /// Null: none have been read yet.
  [[nodiscard]] std::shared_ptr<const held_keys> current() const;
  /// Reads them again unless that was done within refresh_pause, and waits. False: the last attempt failed, so that
  /// nobody knows whether there are others by now.
  [[nodiscard]] bool look_again(std::chrono::nanoseconds patience);

private:
  void read(std::chrono::nanoseconds patience);
  void publish(key_set fresh, const std::string& text);
  void plan(std::chrono::nanoseconds delay);
  [[nodiscard]] std::string read_text(std::chrono::nanoseconds patience);

  sdk::host host_;
  std::shared_ptr<const settings> from_;
  read_counter count_;
  https_client https_;
  sdk::workers workers_;

  std::mutex reading_; // one at a time; the others wait for what it brings
  std::optional<hedwig_time_ns> tried_;
  bool failed_ = false;

  mutable std::mutex mutex_;
  std::shared_ptr<const held_keys> held_;
  std::string text_; // of held_
  std::unique_ptr<sdk::timers> timers_;
};

} // namespace hedwig::auth_oauth
