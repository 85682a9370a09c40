// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <set>
#include <string_view>
#include <thread>

#include <sys/types.h>

namespace hedwig::check {

/// What a host's thread is while it calls the plugin; `none` on the plugin's own threads.
enum class thread_class { none, control, event, worker };

std::string_view name_of(thread_class one);
thread_class this_thread_class();

/// The calling thread is of that class, and the host's, as long as this lives.
class as_thread {
public:
  explicit as_thread(thread_class what);
  ~as_thread();
  as_thread(const as_thread&) = delete;
  as_thread& operator=(const as_thread&) = delete;

private:
  thread_class before_;
};

/// From its beginning to its end a thread of the kit's own, which is not counted among those of the process.
class kit_thread {
public:
  kit_thread();
  ~kit_thread();
  kit_thread(const kit_thread&) = delete;
  kit_thread& operator=(const kit_thread&) = delete;
};

/// Such a thread; it is known as the kit's before this returns.
std::thread start_kit_thread(std::function<void()> run);

/// The threads of the process that are neither the kit's nor at their end: a thread that has been joined may stand in
/// /proc for a moment yet.
std::set<pid_t> foreign_threads();

/// Open descriptors of the process.
std::size_t open_descriptors();

} // namespace hedwig::check
