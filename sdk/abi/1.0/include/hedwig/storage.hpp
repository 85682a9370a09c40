// SPDX-License-Identifier: Apache-2.0
// hedwig/storage.hpp - C++20 face of "hedwig.storage/1": a store says how it commits one group and how it reads, and
// gets group commit, ordering, exactly-once completion and leases.
//
//   submit ─▶ queue ─▶ writer thread: what waits when the last commit ends is the next group ─▶ one complete call
//         └▶ reads ─▶ reader threads: never wait for a commit
//
// Longer than most headers since a header-only engine cannot be split from its declaration.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "plugin.hpp"
#include "storage.h"
#include "storage_lease.hpp"
#include "storage_watch.hpp"

namespace hedwig::sdk {

/// One request that changes something, as a group brings it to store::commit().
struct pending_write {
  const hedwig_storage_request* request = nullptr;
  std::size_t bytes = 0; ///< of its slices and metadata
  hedwig_status status = HEDWIG_OK;
  std::string message = {}; ///< for the operator, when status is not OK
  hedwig_storage_hint hint = {};
  std::uint64_t revision = 1;
  std::uint64_t stage = 0; ///< what a STAGE returns

  template <class Request>
  const Request& as() const noexcept {
    return *reinterpret_cast<const Request*>(request);
  }
  void fail(hedwig_status why, std::string text) {
    status = why;
    message = std::move(text);
  }
};

/// What STAT and LIST return; owns its metadata.
struct stored_entry {
  hedwig_msg_id id = {};
  std::uint32_t state = 0;
  std::uint32_t flags = 0;
  hedwig_storage_hint hint = {};
  std::uint64_t revision = 0;
  std::uint64_t body_size = 0;
  hedwig_time_ns due = 0;
  std::string metadata = {};
};

/// The metadata of an entry with HEDWIG_ENTRY_DAMAGED: `why` in one line, then as much of `saved` as there is room for.
inline std::string damaged_metadata(std::string_view why, std::string_view saved) {
  std::string text{HEDWIG_DAMAGED_MARK};
  for (char c : why.substr(0, 1024))
    text += static_cast<unsigned char>(c) < ' ' || c == '\x7f' ? ' ' : c;
  text += '\n';
  return text.append(saved.substr(0, HEDWIG_METADATA_MAX - text.size()));
}

struct entry_page {
  std::vector<stored_entry> entries;
  std::string cursor; ///< empty: nothing follows; at most HEDWIG_CURSOR_MAX bytes
};

/// The slices of one READ; owns a reference of each until it is handed over.
class read_slices {
public:
  explicit read_slices(const host& h) noexcept : host_{h.raw()} {}
  read_slices(read_slices&& other) noexcept
    : body_size{other.body_size}, host_{other.host_}, slices_{std::move(other.slices_)} {
    other.slices_.clear();
  }
  read_slices& operator=(read_slices&&) = delete;
  ~read_slices() {
    for (auto& s : slices_)
      host_->buf_release(host_, s.buf);
  }
  void add(hedwig_slice owned) { slices_.push_back(owned); }
  const std::vector<hedwig_slice>& slices() const noexcept { return slices_; }
  void handed_over() noexcept { slices_.clear(); }

  std::uint64_t body_size = 0;

private:
  const hedwig_host* host_;
  std::vector<hedwig_slice> slices_;
};

struct state_stats {
  hedwig_state_stats states[HEDWIG_STATE_COUNT] = {};
  std::uint64_t disk_free = 0;
  std::uint64_t damaged = 0;
};

/// What a store implements. open() and close() come on the control thread, commit() and tick() on the one writer
/// thread, the others on reader threads while commits go on. All may throw failure (or anything), but close().
class store {
public:
  /// Limits that a store may well have, here so that all have the same. Bodies under way at once;
  static constexpr std::size_t stages_max = 4096;
  /// what one LIST or CLAIM looks at; and what it returns at most, in entries and in bytes of metadata.
  static constexpr std::size_t walk_max = 65536;
  static constexpr std::size_t page_entries_max = 4096;
  static constexpr std::size_t page_bytes_max = 4 * 1024 * 1024;

  explicit store(const host& h) noexcept : host_{h} {}
  store(const store&) = delete;
  store& operator=(const store&) = delete;
  virtual ~store() = default;

  virtual hedwig_storage_limits limits() const = 0;
  /// Opens and recovers; no request comes before it returned.
  virtual void open() = 0;
  /// No thread uses the store any more; also after an open() that threw.
  virtual void close() noexcept = 0;
  /// Makes the group durable: STAGE, APPEND, DISCARD, PUT, MOVE and REMOVE in order of arrival. Sets status, and hint,
  /// revision or stage where one succeeds. To throw fails every write of the group.
  virtual void commit(std::span<pending_write> group) = 0;
  virtual stored_entry stat(const hedwig_message_request& request) = 0;
  virtual read_slices read(const hedwig_message_request& request) = 0;
  /// LIST and, with `claim`, CLAIM: `claim` leases what it returns by leases().try_claim(id, now, until).
  struct claim_times {
    hedwig_time_ns now;
    hedwig_time_ns until; ///< both on the steady clock
  };
  virtual entry_page list(const hedwig_list_request& request, const claim_times* claim) = 0;
  virtual state_stats stats() = 0;
  /// About once a second, and after each group: check the disk, recover.
  virtual void tick(hedwig_time_ns /*steady*/) {}

  hedwig_status health() const noexcept { return health_.load(std::memory_order_relaxed); }
  lease_table& leases() noexcept { return leases_; }

  /// For the engine: nothing is watched and nothing lost. Before open().
  void forget_place() noexcept {
    watched_.clear();
    lost_ = false;
  }
  /// Whether something that open() wished to be watched was deleted or replaced; from then on health() is E_IO for
  /// good. The writer's.
  bool has_lost_place() noexcept {
    if (lost_)
      return true;
    auto gone = watched_.changed();
    if (gone.empty())
      return false;
    set_health(HEDWIG_E_IO, "the spool was deleted or replaced under the relay");
    lost_ = true;
    host_.log(HEDWIG_LOG_ERROR, "the spool was deleted or replaced under the relay: nothing more is written to it",
              {{"path", gone}});
    return true;
  }

protected:
  const host& the_host() const noexcept { return host_; }
  /// In open(): the store is lost without what this name stands for.
  void watch(std::string path) { watched_.add(std::move(path)); }
  /// Says once in the log what changed; `why` is for the operator.
  void set_health(hedwig_status status, std::string_view why) noexcept {
    if (lost_ || health_.exchange(status, std::memory_order_relaxed) == status)
      return;
    host_.log(status == HEDWIG_OK ? HEDWIG_LOG_INFO : HEDWIG_LOG_ERROR,
              status == HEDWIG_OK ? "the store takes mail again" : "the store takes no mail", {{"why", why}});
  }

private:
  host host_;
  std::atomic<hedwig_status> health_{HEDWIG_OK};
  std::atomic<bool> lost_{false};
  name_watch watched_;
  lease_table leases_;
};

/// The threads and queues of one store. Owned by store_provider; submit() on any thread.
class store_engine {
public:
  /// A REMOVE_RIDE waits this long for a commit to ride on.
  static constexpr hedwig_duration_ns ride_delay_max = 500'000'000;
  static constexpr hedwig_duration_ns tick_interval = 1'000'000'000;
  static constexpr hedwig_duration_ns sweep_interval = 60'000'000'000;
  static constexpr int reader_threads = 2;

  store_engine(const host& h, store& s) : host_{h}, store_{s}, limits_{s.limits()} {
    limits_.struct_size = sizeof limits_;
  }
  ~store_engine() { stop(); }

  void start() {
    store_.leases().clear();
    store_.forget_place();
    stopping_ = false;
    try {
      store_.open();
      started_ = true;
      writer_ = std::thread{[this] { write_loop(); }};
      for (int i = 0; i < reader_threads; ++i)
        readers_.emplace_back([this] { read_loop(); });
    } catch (...) {
      stop();
      store_.close();
      throw;
    }
  }

  /// Answers everything that waits, then closes the store.
  void stop() noexcept {
    {
      std::scoped_lock guard{write_mutex_, read_mutex_};
      stopping_ = true;
    }
    write_wake_.notify_all();
    read_wake_.notify_all();
    if (writer_.joinable())
      writer_.join();
    for (auto& one : readers_)
      if (one.joinable())
        one.join();
    readers_.clear();
    if (std::exchange(started_, false))
      store_.close();
  }

  const hedwig_storage_limits& limits() const noexcept { return limits_; }

  void submit(const hedwig_storage_request* const* requests, std::size_t count) noexcept {
    std::size_t i = 0;
    try {
      std::vector<pending_write> writes;
      std::vector<const hedwig_storage_request*> reads;
      writes.reserve(count);
      reads.reserve(count); // nothing below may throw once a request is queued
      for (; i < count; ++i)
        sort(requests[i], writes, reads);
      queue_writes(writes);
      queue_reads(reads);
    } catch (...) {
      for (; i < count; ++i)
        refuse(requests[i], HEDWIG_E_BUSY, "out of memory");
    }
  }

private:
  struct pending_lease {
    std::size_t at;
    std::optional<hedwig_time_ns> before;
  };

  // ---- taking requests ----

  void refuse(const hedwig_storage_request* request, hedwig_status status, const char* why) noexcept {
    op{host_.raw(), request->op}.fail(status, why);
  }

  static bool is_write(std::uint32_t kind) noexcept {
    return kind >= HEDWIG_STORAGE_STAGE && kind <= HEDWIG_STORAGE_REMOVE;
  }

  static std::size_t size_needed(std::uint32_t kind) noexcept {
    switch (kind) {
    case HEDWIG_STORAGE_STAGE:
      return sizeof(hedwig_stage_request);
    case HEDWIG_STORAGE_APPEND:
    case HEDWIG_STORAGE_DISCARD:
      return sizeof(hedwig_append_request);
    case HEDWIG_STORAGE_PUT:
      return sizeof(hedwig_put_request);
    case HEDWIG_STORAGE_MOVE:
      return sizeof(hedwig_move_request);
    case HEDWIG_STORAGE_LIST:
    case HEDWIG_STORAGE_CLAIM:
      return sizeof(hedwig_list_request);
    case HEDWIG_STORAGE_STATS:
      return sizeof(hedwig_storage_request);
    default:
      return sizeof(hedwig_message_request);
    }
  }

  static std::size_t bytes_of(const hedwig_storage_request* request) noexcept {
    std::size_t total = 0;
    if (request->kind == HEDWIG_STORAGE_PUT) {
      auto& put = *reinterpret_cast<const hedwig_put_request*>(request);
      total = put.metadata.size;
      for (std::size_t i = 0; i < put.slice_count; ++i)
        total += put.slices[i].size;
    } else if (request->kind == HEDWIG_STORAGE_APPEND) {
      auto& append = *reinterpret_cast<const hedwig_append_request*>(request);
      for (std::size_t i = 0; i < append.slice_count; ++i)
        total += append.slices[i].size;
    } else if (request->kind == HEDWIG_STORAGE_MOVE) {
      total = reinterpret_cast<const hedwig_move_request*>(request)->metadata.size;
    }
    return total;
  }

  /// Null when the request keeps the contract.
  static const char* fault_of(const hedwig_storage_request* request) noexcept {
    if (request->struct_size < size_needed(request->kind))
      return "the request is shorter than its kind";
    auto state_is_known = [](std::uint32_t state) { return state > 0 && state < HEDWIG_STATE_COUNT; };
    if (request->kind == HEDWIG_STORAGE_PUT) {
      auto& put = *reinterpret_cast<const hedwig_put_request*>(request);
      if (!state_is_known(put.state))
        return "no such state";
      if (put.metadata.size > HEDWIG_METADATA_MAX)
        return "the metadata is too long";
      if ((put.flags & ~HEDWIG_PUT_RETRY) != 0)
        return "unknown flag";
    } else if (request->kind == HEDWIG_STORAGE_MOVE) {
      auto& move = *reinterpret_cast<const hedwig_move_request*>(request);
      if (!state_is_known(move.state))
        return "no such state";
      if (move.metadata.size > HEDWIG_METADATA_MAX)
        return "the metadata is too long";
      if ((move.flags & ~HEDWIG_MOVE_METADATA) != 0)
        return "unknown flag";
    } else if (request->kind == HEDWIG_STORAGE_LIST || request->kind == HEDWIG_STORAGE_CLAIM) {
      auto& list = *reinterpret_cast<const hedwig_list_request*>(request);
      if (list.limit == 0 || list.cursor.size > HEDWIG_CURSOR_MAX)
        return "a list needs a limit and a cursor of the store's own";
      if ((list.flags & ~(HEDWIG_LIST_BY_RECEIPT | HEDWIG_LIST_METADATA | HEDWIG_LIST_DAMAGED)) != 0)
        return "unknown flag";
    }
    return nullptr;
  }

  void sort(const hedwig_storage_request* request, std::vector<pending_write>& writes,
            std::vector<const hedwig_storage_request*>& reads) {
    if (request->kind == 0 || request->kind > HEDWIG_STORAGE_STATS)
      return refuse(request, HEDWIG_E_UNSUPPORTED, "this store does not know the request");
    if (auto* fault = fault_of(request))
      return refuse(request, HEDWIG_E_INVALID, fault);
    if (stopping_)
      return refuse(request, HEDWIG_E_UNAVAILABLE, "the store has stopped");
    if (in_flight_.fetch_add(1, std::memory_order_relaxed) >= limits_.in_flight) {
      in_flight_.fetch_sub(1, std::memory_order_relaxed);
      return refuse(request, HEDWIG_E_BUSY, "more requests than the store's limit");
    }
    if (!is_write(request->kind)) {
      reads.push_back(request);
      return;
    }
    pending_write one{request, bytes_of(request)};
    auto held = in_flight_bytes_.fetch_add(one.bytes, std::memory_order_relaxed);
    bool full = held != 0 && held + one.bytes > limits_.in_flight_bytes && one.bytes != 0;
    if (full || (request->kind == HEDWIG_STORAGE_PUT && one.as<hedwig_put_request>().lease_until != 0 &&
                 store_.leases().size() >= lease_table::leases_max)) {
      in_flight_bytes_.fetch_sub(one.bytes, std::memory_order_relaxed);
      in_flight_.fetch_sub(1, std::memory_order_relaxed);
      return refuse(request, HEDWIG_E_BUSY, full ? "more bytes than the store's limit" : "too many leases");
    }
    writes.push_back(std::move(one));
  }

  void refuse_all(std::span<const hedwig_storage_request* const> requests) noexcept {
    for (auto* request : requests) {
      in_flight_.fetch_sub(1, std::memory_order_relaxed);
      if (is_write(request->kind))
        in_flight_bytes_.fetch_sub(bytes_of(request), std::memory_order_relaxed);
      refuse(request, HEDWIG_E_BUSY, "out of memory");
    }
  }

  void queue_writes(std::vector<pending_write>& writes) noexcept {
    if (writes.empty())
      return;
    std::vector<const hedwig_storage_request*> lost;
    {
      std::lock_guard guard{write_mutex_};
      for (auto& one : writes) {
        bool rides = one.request->kind == HEDWIG_STORAGE_REMOVE &&
                     (one.as<hedwig_message_request>().flags & HEDWIG_REMOVE_RIDE) != 0;
        auto* request = one.request;
        try {
          if (rides && riders_.empty())
            riding_since_ = host_.steady();
          (rides ? riders_ : writes_).push_back(std::move(one));
        } catch (...) {
          lost.push_back(request); // one of many: memory for this little there is, or the process ends
        }
      }
    }
    write_wake_.notify_one();
    refuse_all(lost);
  }

  void queue_reads(std::vector<const hedwig_storage_request*>& reads) noexcept {
    if (reads.empty())
      return;
    std::vector<const hedwig_storage_request*> lost;
    {
      std::lock_guard guard{read_mutex_};
      for (auto* request : reads) {
        try {
          reads_.push_back(request);
        } catch (...) {
          lost.push_back(request);
        }
      }
    }
    reads.size() > 1 ? read_wake_.notify_all() : read_wake_.notify_one();
    refuse_all(lost);
  }

  // ---- the writer ----

  void write_loop() noexcept {
    std::vector<pending_write> group;
    for (;;) {
      group.clear();
      bool last = false;
      {
        std::unique_lock guard{write_mutex_};
        wait_for_writes(guard);
        take_group(group);
        last = stopping_ && group.empty();
      }
      if (last)
        return;
      if (group.empty())
        static_cast<void>(store_.has_lost_place()); // a group looks for itself
      else
        run_group(group);
      housekeeping();
    }
  }

  bool riders_are_due() const noexcept {
    return !riders_.empty() &&
           (riders_.size() >= limits_.batch || stopping_ || host_.steady() - riding_since_ >= ride_delay_max);
  }

  /// Returns when a group is to be taken, at stop, or for the tick.
  void wait_for_writes(std::unique_lock<std::mutex>& guard) {
    using namespace std::chrono_literals;
    auto ready = [this] { return !writes_.empty() || stopping_ || riders_are_due(); };
    if (ready())
      return;
    // The host's clock may be a virtual one, which no condition variable knows: look again in short steps.
    if (riders_.empty())
      write_wake_.wait_for(guard, 1s, [this] { return !writes_.empty() || stopping_ || !riders_.empty(); });
    for (int step = 0; step < 20 && !ready() && !riders_.empty(); ++step)
      write_wake_.wait_for(guard, 50ms);
  }

  void take_group(std::vector<pending_write>& group) {
    if (!writes_.empty() || riders_are_due())
      while (!riders_.empty() && group.size() < limits_.batch) {
        group.push_back(std::move(riders_.front()));
        riders_.pop_front();
      }
    std::size_t taken = 0, bytes = 0;
    auto bytes_max = std::max<std::uint64_t>(limits_.in_flight_bytes / 4, 1);
    while (!writes_.empty() && taken < limits_.batch && (taken == 0 || bytes + writes_.front().bytes <= bytes_max)) {
      bytes += writes_.front().bytes;
      ++taken;
      group.push_back(std::move(writes_.front()));
      writes_.pop_front();
    }
  }

  void run_group(std::vector<pending_write>& group) noexcept {
    std::vector<pending_lease> begun;
    try {
      insist_on_place();
      begin_leases(group, begun);
      store_.commit(group);
      insist_on_place(); // what went to a folder that nobody finds any more is no promise
    } catch (...) {
      hedwig_error error;
      auto status = detail::describe(error);
      for (auto& one : group)
        if (one.status == HEDWIG_OK)
          one.fail(status, error.message);
    }
    end_leases(group, begun);
    ++commits_;
    commit_writes_ += group.size();
    complete(group);
  }

  void insist_on_place() {
    if (store_.has_lost_place())
      throw failure{HEDWIG_E_IO, "the spool was deleted or replaced under the relay"};
  }

  static hedwig_time_ns lease_of(const pending_write& one) noexcept {
    if (one.request->kind == HEDWIG_STORAGE_PUT)
      return one.as<hedwig_put_request>().lease_until;
    return one.request->kind == HEDWIG_STORAGE_MOVE ? one.as<hedwig_move_request>().lease_until : 0;
  }

  static const hedwig_msg_id& id_of(const pending_write& one) noexcept {
    if (one.request->kind == HEDWIG_STORAGE_PUT)
      return one.as<hedwig_put_request>().id;
    return one.request->kind == HEDWIG_STORAGE_MOVE ? one.as<hedwig_move_request>().id
                                                    : one.as<hedwig_message_request>().id;
  }

  // Before the commit: no CLAIM may see the message unclaimed, not even for a moment.
  void begin_leases(const std::vector<pending_write>& group, std::vector<pending_lease>& begun) {
    hedwig_time_ns shift = host_.steady() - host_.wall();
    for (std::size_t i = 0; i < group.size(); ++i)
      if (auto until = lease_of(group[i]); until != 0)
        begun.push_back({i, store_.leases().set(id_of(group[i]), until + shift)});
  }

  void end_leases(const std::vector<pending_write>& group, const std::vector<pending_lease>& begun) {
    for (auto& one : begun)
      if (group[one.at].status != HEDWIG_OK)
        store_.leases().restore(id_of(group[one.at]), one.before);
    for (auto& one : group) {
      bool ends = one.request->kind == HEDWIG_STORAGE_REMOVE ||
                  (one.request->kind == HEDWIG_STORAGE_MOVE && lease_of(one) == 0);
      if (ends && one.status == HEDWIG_OK)
        store_.leases().erase(id_of(one));
    }
  }

  void complete(std::vector<pending_write>& group) noexcept {
    std::size_t failed = 0, bytes = 0;
    for (auto& one : group) {
      failed += one.status != HEDWIG_OK;
      bytes += one.bytes;
    }
    errors_.assign(failed, {});
    results_.assign(group.size(), {});
    stages_.assign(group.size(), {});
    done_.clear();
    std::size_t error = 0;
    for (std::size_t i = 0; i < group.size(); ++i) {
      auto& one = group[i];
      hedwig_completion done{one.request->op, one.status, 0, nullptr, nullptr};
      if (one.status != HEDWIG_OK) {
        errors_[error].status = one.status;
        detail::copy(errors_[error].message, sizeof errors_[error].message, one.message);
        done.error = &errors_[error++];
      } else if (one.request->kind == HEDWIG_STORAGE_STAGE) {
        stages_[i] = {sizeof stages_[i], 0, one.stage};
        done.result = &stages_[i];
      } else if (one.request->kind == HEDWIG_STORAGE_PUT || one.request->kind == HEDWIG_STORAGE_MOVE) {
        results_[i] = {sizeof results_[i], 0, one.hint, one.revision, static_cast<std::uint32_t>(group.size()), 0};
        done.result = &results_[i];
      }
      done_.push_back(done);
    }
    // First, so that the host may submit again from inside the call.
    in_flight_.fetch_sub(static_cast<std::uint32_t>(group.size()), std::memory_order_relaxed);
    in_flight_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
    host_.raw()->complete(host_.raw(), done_.data(), done_.size());
  }

  void housekeeping() noexcept {
    auto now = host_.steady();
    try {
      if (now - last_sweep_ >= sweep_interval) {
        last_sweep_ = now;
        store_.leases().sweep(now);
      }
      store_.tick(now);
    } catch (const std::exception& e) {
      host_.log(HEDWIG_LOG_ERROR, "the store's upkeep failed", {{"why", e.what()}});
    } catch (...) {
    }
  }

  // ---- the readers ----

  void read_loop() noexcept {
    for (;;) {
      const hedwig_storage_request* request = nullptr;
      {
        std::unique_lock guard{read_mutex_};
        read_wake_.wait(guard, [this] { return stopping_ || !reads_.empty(); });
        if (reads_.empty())
          return;
        request = reads_.front();
        reads_.pop_front();
      }
      op answer{host_.raw(), request->op};
      try {
        answer_read(request, answer);
      } catch (...) {
        in_flight_.fetch_sub(1, std::memory_order_relaxed);
        answer.fail_with_current_exception();
      }
    }
  }

  // in_flight_ goes down at the end of each branch, where nothing can throw any more.
  void answer_read(const hedwig_storage_request* request, op& answer) {
    auto& message = *reinterpret_cast<const hedwig_message_request*>(request);
    if (request->kind == HEDWIG_STORAGE_READ) {
      auto got = store_.read(message);
      hedwig_read_result result{sizeof result, 0, got.slices().data(), got.slices().size(), got.body_size};
      in_flight_.fetch_sub(1, std::memory_order_relaxed);
      answer.finish(&result);
      got.handed_over();
    } else if (request->kind == HEDWIG_STORAGE_STAT) {
      auto found = store_.stat(message);
      mark_claimed(found);
      auto result = raw(found);
      in_flight_.fetch_sub(1, std::memory_order_relaxed);
      answer.finish(&result);
    } else if (request->kind == HEDWIG_STORAGE_STATS) {
      finish_stats(answer);
    } else {
      finish_list(*reinterpret_cast<const hedwig_list_request*>(request), answer);
    }
  }

  void mark_claimed(stored_entry& one) {
    if (store_.leases().is_claimed(one.id, host_.steady()))
      one.flags |= HEDWIG_ENTRY_CLAIMED;
  }

  static hedwig_entry raw(const stored_entry& one) noexcept {
    return {sizeof(hedwig_entry), one.state, one.id, one.hint, one.revision, one.body_size, one.due,
            bytes(one.metadata),  one.flags, 0};
  }

  void finish_list(const hedwig_list_request& request, op& answer) {
    bool claims = request.kind == HEDWIG_STORAGE_CLAIM;
    auto now = host_.steady();
    store::claim_times times{now, now + (request.lease_until - host_.wall())};
    auto found = store_.list(request, claims ? &times : nullptr);
    std::vector<hedwig_entry> entries;
    entries.reserve(found.entries.size());
    std::vector<const hedwig_entry*> pointers;
    for (auto& one : found.entries) {
      mark_claimed(one);
      entries.push_back(raw(one));
    }
    for (auto& one : entries)
      pointers.push_back(&one);
    hedwig_list_result result{sizeof result, 0, pointers.data(), pointers.size(), bytes(found.cursor)};
    in_flight_.fetch_sub(1, std::memory_order_relaxed);
    answer.finish(&result);
  }

  void finish_stats(op& answer) {
    auto found = store_.stats();
    hedwig_storage_stats result{};
    result.struct_size = sizeof result;
    result.state_count = HEDWIG_STATE_COUNT;
    result.states = found.states;
    result.disk_free = found.disk_free;
    result.commits = commits_;
    result.commit_writes = commit_writes_;
    result.leases = store_.leases().size();
    result.damaged = found.damaged;
    in_flight_.fetch_sub(1, std::memory_order_relaxed);
    answer.finish(&result);
  }

  host host_;
  store& store_;
  hedwig_storage_limits limits_;
  bool started_ = false;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint32_t> in_flight_{0};
  std::atomic<std::uint64_t> in_flight_bytes_{0};

  std::mutex write_mutex_;
  std::condition_variable write_wake_;
  std::deque<pending_write> writes_;
  std::deque<pending_write> riders_;
  hedwig_time_ns riding_since_ = 0;

  std::mutex read_mutex_;
  std::condition_variable read_wake_;
  std::deque<const hedwig_storage_request*> reads_;

  // The writer's own.
  std::vector<hedwig_completion> done_;
  std::vector<hedwig_commit_result> results_;
  std::vector<hedwig_stage_result> stages_;
  std::vector<hedwig_error> errors_;
  hedwig_time_ns last_sweep_ = 0;
  std::atomic<std::uint64_t> commits_{0};
  std::atomic<std::uint64_t> commit_writes_{0};

  std::thread writer_;
  std::vector<std::thread> readers_;
};

/// Builds the C tables for a class derived from `store` with a constructor `Store(host, config)` and, if it likes, a
/// static `validate(const config&)`.
template <class Store>
class store_provider {
public:
  store_provider(host h, const config& c) : store_{h, c}, engine_{h, store_} {}

  static void validate(const config& c) requires requires { Store::validate(c); }
  { Store::validate(c); }
  void start() { engine_.start(); }
  void stop() { engine_.stop(); }

  static constexpr hedwig_provider make(const char* name, const char* summary, const hedwig_config_schema* schema,
                                        std::uint32_t flags) {
    return detail::life<store_provider>::make(HEDWIG_STORAGE, &table, name, summary, schema, flags);
  }

private:
  static store_provider& self(void* instance) noexcept {
    return static_cast<detail::instance<store_provider>*>(instance)->provider;
  }
  static const hedwig_storage_limits* limits(void* instance) { return &self(instance).engine_.limits(); }
  static void submit(void* instance, const hedwig_storage_request* const* requests, std::size_t count) {
    self(instance).engine_.submit(requests, count);
  }
  static hedwig_status health(void* instance) { return self(instance).store_.health(); }

  static constexpr hedwig_storage table{sizeof(hedwig_storage), 0, &limits, &submit, &health};

  Store store_;
  store_engine engine_;
};

} // namespace hedwig::sdk
