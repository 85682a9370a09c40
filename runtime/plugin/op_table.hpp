// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/host.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "runtime/base/clock.hpp"
#include "runtime/plugin/completion.hpp"

namespace hedwig::plugin {

class instance;

/// One call a plugin owes an answer for. Owns everything the plugin was shown, until the answer is there.
class pending_op {
public:
  virtual ~pending_op() = default;
  /// Copies an answer with status OK out of the plugin's structs, taking over the references it gives. Called once, for
  /// a late answer too (the value is dropped then).
  [[nodiscard]] virtual result<outcome> decode(const void* result) = 0;
  /// The plugin answered, or was never asked: after this the op is gone. `late`: the sink had heard TIMEOUT before.
  virtual void settled(bool late) noexcept { static_cast<void>(late); }

  std::shared_ptr<instance> owner;
  steady_time began{};
  steady_time ended{};   ///< once it is answered
  const char* name = ""; ///< "verify_password": for logs and crash reports
  reply_to reply;
  bool guarded = true;         ///< start, stop and reload are made whatever the breaker says
  std::uint8_t kind = 0;       ///< which of the instance's breakers; below instance::call_kinds
  std::uint64_t admission = 0; ///< of that breaker; 0: none
};

/// The calls in flight. A hedwig_op* is a slot number and a generation, never an address: a second completion of an op,
/// however late and whoever has the slot by then, is recognised. Thread-safe.
class op_table {
public:
  explicit op_table(std::size_t ops_max);
  ~op_table();
  op_table(const op_table&) = delete;
  op_table& operator=(const op_table&) = delete;

  /// Null when ops_max calls are in flight; `op` is untouched then. The deadline is on the steady clock.
  [[nodiscard]] hedwig_op* open(std::unique_ptr<pending_op>& op, steady_time deadline);

  /// The slot of a call that ended, kept by its caller for the next one; see claim(). It counts as one in flight.
  enum class kept_slot : std::uint32_t {};
  [[nodiscard]] static kept_slot slot_of(const hedwig_op* handle) noexcept;
  /// As open(), in a slot of the caller's own: no lock, and there is always room.
  [[nodiscard]] hedwig_op* open(std::unique_ptr<pending_op>& op, steady_time deadline, kept_slot where) noexcept;
  void give_back(kept_slot slot);

  struct claimed {
    std::unique_ptr<pending_op> op; ///< null: no such call, or it was completed before
    bool late = false;              ///< the sink has heard TIMEOUT already
  };
  /// Ends a call. `owner` must be the instance that was asked. `keep_slot`: where there was such a call, its slot now
  /// belongs to the caller.
  [[nodiscard]] claimed claim(const hedwig_op* handle, const instance* owner, bool keep_slot = false) noexcept;

  /// Before a call that waited is handed to the plugin: its op, or null when it was given up meanwhile; it ends then.
  [[nodiscard]] pending_op* begin(hedwig_op* handle);

  /// Steady nanoseconds; 0 for a handle that is none.
  [[nodiscard]] hedwig_time_ns deadline(const hedwig_op* handle) const noexcept;
  [[nodiscard]] bool given_up(const hedwig_op* handle) const noexcept;

  /// Gives up every call whose deadline is not after `now`: `expired` hears of each, the plugin still owes its answer.
  void expire(steady_time now, const std::function<void(hedwig_op*, pending_op&)>& expired);

private:
  struct slot;
  struct chunk;
  static constexpr std::size_t chunk_size = 1024;
  static constexpr std::size_t chunks_max = 4096;

  [[nodiscard]] slot* find(const hedwig_op* handle) const noexcept;
  [[nodiscard]] slot& at(std::uint32_t index) const noexcept;
  [[nodiscard]] std::uint32_t take_index();

  std::size_t ops_max_;
  std::array<std::atomic<chunk*>, chunks_max> chunks_{};
  std::mutex mutex_;
  std::vector<std::uint32_t> free_;
  std::atomic<std::uint32_t> made_{0};
};

} // namespace hedwig::plugin
