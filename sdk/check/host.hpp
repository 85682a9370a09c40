// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/plugin.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "sdk/check/clock.hpp"
#include "sdk/check/host_services.hpp"
#include "sdk/check/rule.hpp"

/// One request under way. Its memory outlives its completion, so that a second one can be told from a wild pointer.
struct hedwig_op {
  hedwig_op() = default;
  hedwig_op(const hedwig_op&) = delete;
  hedwig_op& operator=(const hedwig_op&) = delete;
  virtual ~hedwig_op() = default;
  /// Copies what the completion brings; called under the host's lock, on the completer's thread.
  virtual void take(const hedwig_completion&) {}
  /// The op's borrowed memory may go now; called after take(), in the same way.
  virtual void let_go() {}
  /// "on_mail" or "start()", before it is asked: a constant. Of a process that dies, what was asked last is told.
  void called(const char* text) noexcept;

  const char* name = "a request";
  int completions = 0;
  hedwig_status status = 1;
  std::string error;
  int os_errno = 0;
  std::atomic<bool> cancelled{false};
};

namespace hedwig::check {

/// Where called() writes its text: last_call_size bytes, shared with who started this process; null: nowhere.
inline char* last_call = nullptr;
inline constexpr std::size_t last_call_size = 64;

/// The host as the kit plays it: it counts, insists and remembers. Every call of the table is legal on every thread.
class host {
public:
  explicit host(host_kind kind = {});
  ~host();
  host(const host&) = delete;
  host& operator=(const host&) = delete;

  const hedwig_host* raw() const { return shown_; }
  host_services& services() { return *services_; }
  test_clock& clock() { return clock_; }

  /// Waits for one completion of `op`. Throws broken(exactly_once) when none comes within wait_max(), and for whatever
  /// breach has been noticed meanwhile.
  void wait(const hedwig_op& op);
  /// Waits until `holds`, which is asked under the lock after each completion; false when wait_max() has passed.
  bool wait_until(const std::function<bool()>& holds);
  /// Throws the first breach that completions or buffers showed, if any.
  void judge();
  /// Remembers a breach noticed on the plugin's thread; the first one counts.
  void breach(const rule& which, std::string saw);

  std::mutex& mutex() { return mutex_; }
  std::condition_variable& changed() { return changed_; }
  std::vector<std::string> logs();
  /// From now on lines are not kept: for a test that counts memory.
  void keep_no_logs() { logs_max_ = 0; }
  /// From now on the plugin is asked for lines of all levels.
  void log_everything() { log_level_ = HEDWIG_LOG_TRACE; }

  /// Buffers of host and plugins that somebody still holds, in the whole process.
  static std::int64_t buffers_alive();
  hedwig_slice copy(std::string_view text) const;
  void release(hedwig_buf* buffer) const { table_.buf_release(&table_, buffer); }

  /// A minute, or less where the whole test has little more: who waits in vain is to say for what.
  static std::chrono::seconds wait_max();
  static void test_ends_in(std::chrono::seconds limit);

private:
  static host& self(const hedwig_host* raw) { return *static_cast<host*>(raw->host_data); }
  static void complete(const hedwig_host* raw, const hedwig_completion* done, std::size_t count);
  static void log(const hedwig_host* raw, const hedwig_log_record* record);
  void take(const hedwig_completion& done);

  hedwig_host table_{};
  const hedwig_host* shown_ = &table_;
  test_clock clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> logs_;
  std::atomic<std::size_t> logs_max_{1000};
  std::atomic<std::int32_t> log_level_{HEDWIG_LOG_INFO};
  struct noticed {
    const rule* which;
    std::string saw;
  };
  std::optional<noticed> breach_;
  std::unique_ptr<host_services> services_;
};

} // namespace hedwig::check
