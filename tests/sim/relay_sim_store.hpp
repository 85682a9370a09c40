// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/base/onward_clock.hpp"
#include "tests/sim/network/sim_world.hpp"
#include "tests/sim/relay_sim_oracle.hpp"

#include <hedwig/storage.h>

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace hedwig::sim {

/// What goes wrong in the store, as probabilities from 0 to 1. May be changed while it runs.
struct store_faults {
  double commit_failed = 0; ///< all writes of a group end with HEDWIG_E_IO
  double no_space = 0;      ///< a group's PUTs end with HEDWIG_E_NO_SPACE
  double busy = 0;          ///< a request ends with HEDWIG_E_BUSY
  double read_failed = 0;   ///< READ, CLAIM, LIST, STAT and STATS end with HEDWIG_E_IO
  double broken = 0;        ///< a failed commit is the last: HEDWIG_E_IO until a restart
  double appears = 0;       ///< of a write that failed: after a crash it is there after all
};

/// For self-checks: what a store must never do. The oracle has to notice.
enum class store_lie : std::uint8_t { none, loses_committed, acknowledges_early, forgets_moves };

/// A store in memory that keeps "committed" and "under way" apart. Behind the plugin interface; everything it does is a
/// step that the world chooses. Survives the relays that use it.
class sim_store {
public:
  sim_store(sim_world& world, oracle& judge) : world_{world}, oracle_{judge} {}

  [[nodiscard]] store_faults& faults() noexcept { return faults_; }
  /// By which retention is judged; outlives the store's use.
  void set_due_clock(onward_clock& clock) noexcept { due_clock_ = &clock; }
  void set_lie(store_lie what) noexcept { lie_ = what; }
  [[nodiscard]] static const hedwig_provider& provider() noexcept;
  /// The next instance that a host creates is this store.
  void offer() noexcept { next_ = this; }

  /// How many kinds of step could be taken now.
  [[nodiscard]] std::size_t ready() const noexcept;
  /// Takes one at random.
  void step();
  [[nodiscard]] bool idle() const noexcept { return waiting_.empty() && committing_.empty() && answering_.empty(); }
  /// No answer comes from now on, and nothing new is taken; what is not committed is lost, perhaps but for the group
  /// that was being written.
  void crash();
  /// After the relay's actors are gone: answers what they asked, so that the plugin host can end.
  void abandon();

  [[nodiscard]] bool broken() const noexcept { return broken_; }
  /// When a queued or deferred message next may be claimed; absent when there is none.
  [[nodiscard]] std::optional<wall_time> next_due(wall_time now) const;
  /// How long a lease still keeps some message back that is due; zero when none does.
  [[nodiscard]] std::chrono::nanoseconds kept_back(wall_time now) const;
  /// Messages that are neither bounced nor gone.
  [[nodiscard]] std::size_t queued() const;
  /// These, one after the other, for a report.
  [[nodiscard]] std::string describe_queue() const;
  [[nodiscard]] std::map<message_id, oracle::left_over> contents() const;
  [[nodiscard]] std::uint64_t commits() const noexcept { return commits_; }
  [[nodiscard]] std::uint64_t failures() const noexcept { return failed_; }
  /// Bodies under way.
  [[nodiscard]] std::size_t stages() const noexcept { return stages_.size(); }
  /// Messages put that had been staged, and parts of bodies read.
  [[nodiscard]] std::uint64_t staged() const noexcept { return staged_; }
  [[nodiscard]] std::uint64_t parts_read() const noexcept { return parts_read_; }

private:
  struct row {
    std::uint32_t state = 0;
    hedwig_time_ns due = 0;
    std::uint64_t revision = 1;
    std::string metadata;
    std::string body;
    steady_time leased_until{}; // in memory only: a crash ends it
  };
  /// A PUT, MOVE or REMOVE, copied.
  struct write {
    hedwig_op* op = nullptr; // null once answered
    std::uint32_t kind = 0;
    std::uint32_t flags = 0;
    message_id id;
    std::uint64_t revision = 0;
    row content;
    hedwig_time_ns lease = 0;
    bool ride = false;
    bool acknowledged = false;
    std::uint64_t stage = 0; // of STAGE, APPEND, DISCARD and PUT
    std::string chunk;
  };
  struct inquiry {
    hedwig_op* op = nullptr;
    std::uint32_t kind = 0;
    message_id id;
    std::uint32_t states = 0;
    std::uint32_t flags = 0;
    hedwig_time_ns due_before = 0;
    hedwig_time_ns lease = 0;
    std::uint32_t limit = 0;
    std::string cursor;
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
  };

  // the provider's functions
  static hedwig_status create(const hedwig_host* host, const hedwig_config*, void** out, hedwig_error*);
  static void at_once(void* self, hedwig_op* op);
  static void nothing(void*) {}
  static const hedwig_storage_limits* limits(void* self);
  static void submit(void* self, const hedwig_storage_request* const* requests, std::size_t count);
  static hedwig_status health(void* self);

  void take(const hedwig_storage_request& request);
  void take_write(const hedwig_storage_request& request);
  void take_stage(const hedwig_storage_request& request);
  [[nodiscard]] hedwig_status apply_stage(write& what);
  void take_read(const hedwig_storage_request& request);
  void begin_commit();
  void end_commit();
  void answer_read();
  void answer_listing(const inquiry& what);
  [[nodiscard]] static std::string cursor_at(const message_id& id, const row& one);
  [[nodiscard]] static hedwig_entry entry_of(const message_id& id, const row& one);
  void answer_stat(const inquiry& what);
  void answer_body(const inquiry& what);
  void answer_stats(const inquiry& what);
  void complete(hedwig_op* op, hedwig_status status, const void* result = nullptr);
  void fail_group(bool all_writes, hedwig_status status);
  /// Makes it durable, or says why not.
  [[nodiscard]] hedwig_status apply(write& what);
  void finish(write& what, hedwig_status status);
  [[nodiscard]] bool leased(const row& of) const { return of.leased_until > world_.clock().steady(); }
  [[nodiscard]] steady_time lease_end(hedwig_time_ns until) const;
  [[nodiscard]] bool has_work_to_start() const;

  sim_world& world_;
  oracle& oracle_;
  onward_clock* due_clock_ = nullptr;
  store_faults faults_;
  store_lie lie_ = store_lie::none;
  const hedwig_host* host_ = nullptr;
  std::map<message_id, row> rows_;
  std::map<std::uint64_t, std::string> stages_; // in memory only: a crash ends them
  std::uint64_t last_stage_ = 0;
  std::uint64_t staged_ = 0;
  std::uint64_t parts_read_ = 0;
  std::deque<write> waiting_;
  std::vector<write> committing_;
  std::vector<write> failed_writes_;
  std::deque<inquiry> answering_;
  std::vector<hedwig_op*> unanswered_; // of a relay that died
  bool dead_ = false;
  bool broken_ = false;
  bool full_ = false;
  std::uint64_t commits_ = 0;
  std::uint64_t failed_ = 0;
  static inline sim_store* next_ = nullptr;
};

} // namespace hedwig::sim
