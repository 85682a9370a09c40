// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "sdk/check/instance.hpp"
#include "sdk/check/storage/answer.hpp"
#include "sdk/check/storage/contents.hpp"

namespace hedwig::check::storage {

/// A store as the relay uses it: requests are handed over as they come, within the limits it states; a BLOCKING one
/// gets one array at a time. Calls on the test's thread.
class store {
public:
  explicit store(context& run);
  /// Without stopping it: for tests that failed. close() is the orderly end.
  ~store();
  store(const store&) = delete;
  store& operator=(const store&) = delete;

  void open(); ///< create, start. Throws broken.
  hedwig_status try_open();
  void close(); ///< stop, destroy. Throws broken.
  /// Throws skipped where the store forgets then: what the test saw so far was good.
  void reopen();
  bool is_volatile() const;

  hedwig_status health() const { return table_.health(instance_->raw()); }
  const hedwig_storage_limits& limits() const { return limits_; }
  host& services() { return instance_->services(); }
  instance& life() { return *instance_; }
  test_clock& clock() { return instance_->services().clock(); }
  bool is_blocking() const;

  op_pointer make_put(const hedwig_msg_id& id, std::string_view body, std::string_view metadata,
                      std::uint32_t state = HEDWIG_STATE_QUEUED, hedwig_time_ns due = 1000, std::uint64_t stage = 0);
  op_pointer make_move(const hedwig_msg_id& id, std::uint64_t revision, std::uint32_t state, hedwig_time_ns due,
                       const hedwig_storage_hint& hint = {});
  op_pointer make_move_with(const hedwig_msg_id& id, std::uint64_t revision, std::uint32_t state, hedwig_time_ns due,
                            std::string_view metadata, const hedwig_storage_hint& hint = {});
  op_pointer make_message(std::uint32_t kind, const hedwig_msg_id& id, const hedwig_storage_hint& hint = {});
  op_pointer make_list(std::uint32_t kind, std::uint32_t states, std::uint32_t limit, std::string_view cursor = {},
                       std::uint32_t flags = HEDWIG_LIST_METADATA);
  op_pointer make_claim(std::uint32_t states, hedwig_time_ns due_before, std::chrono::nanoseconds lease,
                        std::uint32_t limit, std::string_view cursor = {});
  op_pointer make_append(std::uint64_t stage, std::string_view text);
  op_pointer make_stage(std::uint64_t size_hint = 0);
  op_pointer make_discard(std::uint64_t stage);
  op_pointer make(std::uint32_t kind);

  /// Hands over in order, as soon as the store's limits allow.
  void submit(const std::vector<op_pointer>& ops);
  /// Hands over at once, whatever the limit in flight.
  void submit_beyond_limits(const std::vector<op_pointer>& ops);
  const answer& wait(const op_pointer& one);
  void wait(const std::vector<op_pointer>& all);
  answer run(const op_pointer& one) {
    submit({one});
    return wait(one); // a copy: the op may be gone with the next semicolon
  }

  // In one call each, for the common case.
  answer put(const hedwig_msg_id& id, std::string_view body, std::string_view metadata = "metadata",
             std::uint32_t state = HEDWIG_STATE_QUEUED, hedwig_time_ns due = 1000) {
    return run(make_put(id, body, metadata, state, due));
  }
  answer stat(const hedwig_msg_id& id) { return run(make_message(HEDWIG_STORAGE_STAT, id)); }
  answer remove(const hedwig_msg_id& id, const hedwig_storage_hint& hint = {}) {
    return run(make_message(HEDWIG_STORAGE_REMOVE, id, hint));
  }
  answer stats() { return run(make(HEDWIG_STORAGE_STATS)); }
  /// The whole body, by as many READs as it takes; the first status that is not OK.
  answer read_all(const hedwig_msg_id& id, const hedwig_storage_hint& hint = {});
  /// All pages of a LIST. Throws broken when one fails or the walk does not end.
  std::vector<entry_copy> list_all(std::uint32_t states = every_state, std::uint32_t limit = 100,
                                   std::uint32_t flags = HEDWIG_LIST_METADATA, hedwig_time_ns due_before = 0);
  /// Pages of CLAIM until `limit` are claimed or nothing follows.
  std::vector<entry_copy> claim_all(std::uint32_t states, hedwig_time_ns due_before, std::chrono::nanoseconds lease,
                                    std::uint32_t limit = 100);
  /// wall() of its clock and `by`, for lease_until.
  hedwig_time_ns in(std::chrono::nanoseconds by) { return clock().wall() + by.count(); }

private:
  void pump();
  bool may_take_more(std::uint64_t bytes) const;
  void stop_pump();

  context& run_;
  const hedwig_storage& table_;
  instance* instance_ = nullptr; ///< never destroyed either
  hedwig_storage_limits limits_{};
  std::vector<op_pointer> all_; ///< so that a second completion finds its op

  // Under the host's lock:
  std::deque<op_pointer> waiting_;
  std::uint64_t in_flight_ = 0;
  std::uint64_t in_flight_bytes_ = 0;
  bool pumping_ = false;
  std::thread pump_;
};

/// A store on the test's folder, open. Throws broken.
store& open_store(context& run);

/// STAT and the whole body of a message are as wanted, or broken(which).
struct wanted_message {
  std::uint64_t number;
  std::string_view body;
  std::string_view metadata;
  std::uint32_t state = HEDWIG_STATE_QUEUED;
  hedwig_time_ns due = 1000;
  std::uint64_t revision = 1;
};
void expect_message(store& from, const wanted_message& wanted, const rule& which);
/// The status is as wanted, or broken(which) with what was asked.
void expect_status(const answer& got, hedwig_status wanted, const rule& which, std::string_view asked);

} // namespace hedwig::check::storage
