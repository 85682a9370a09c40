// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/plugin.h>
#include <hedwig/storage.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

// The smallest host that can run a store: real threads, buffers that count, ops that insist on exactly one completion,
// and clocks that a test may push forward.

struct hedwig_config {
  std::map<std::string, std::string> texts;
  std::map<std::string, std::int64_t> numbers;
};

namespace hedwig::test {

inline constexpr auto queued = HEDWIG_STATE_MASK(HEDWIG_STATE_QUEUED);
inline constexpr auto deferred = HEDWIG_STATE_MASK(HEDWIG_STATE_DEFERRED);
inline constexpr std::uint32_t every_state = HEDWIG_STATE_MASK(HEDWIG_STATE_COUNT) - HEDWIG_STATE_MASK(1);

struct entry_copy {
  hedwig_msg_id id{};
  std::uint32_t state = 0;
  std::uint32_t flags = 0;
  hedwig_storage_hint hint{};
  std::uint64_t revision = 0;
  std::uint64_t body_size = 0;
  hedwig_time_ns due = 0;
  std::string metadata;
};

/// What came back for one request, whichever its kind.
struct answer {
  hedwig_status status = 1;
  std::string error;
  hedwig_storage_hint hint{};
  std::uint64_t revision = 0;
  std::uint32_t group_size = 0;
  std::uint64_t stage = 0;
  std::vector<entry_copy> entries;
  std::string cursor;
  std::string body;
  std::uint64_t body_size = 0;
  std::vector<hedwig_state_stats> states;
  hedwig_storage_stats stats{};
};

} // namespace hedwig::test

/// One request with the memory it points at.
struct hedwig_op {
  std::uint32_t kind = 0;
  union any_request {
    hedwig_storage_request head;
    hedwig_stage_request stage;
    hedwig_append_request append;
    hedwig_put_request put;
    hedwig_move_request move;
    hedwig_message_request message;
    hedwig_list_request list;
  } request{};
  std::vector<hedwig_slice> slices;
  std::string metadata;
  std::string cursor;
  hedwig::test::answer got;
  std::atomic<int> completions{0};
  const hedwig_host* owner = nullptr;
  ~hedwig_op();
};

namespace hedwig::test {

using op_pointer = std::shared_ptr<hedwig_op>;

/// One provider instance of one plugin file. Calls on the test's thread; completions on the store's.
class store_client {
public:
  store_client(const std::string& plugin_file, hedwig_config config);
  ~store_client();

  /// create and start; the failure's text is in error().
  hedwig_status start();
  void stop();
  const std::string& error() const { return error_; }
  hedwig_status health() const { return table_->health(instance_); }
  const hedwig_storage_limits& limits() const { return *table_->limits(instance_); }
  void advance(std::chrono::nanoseconds by) { offset_ += by.count(); }
  hedwig_time_ns wall() const;
  /// Waits, by looking, until `condition` or ten seconds.
  bool eventually(const std::function<bool()>& condition);

  op_pointer make_put(const hedwig_msg_id& id, std::string_view body, std::string_view metadata,
                      std::uint32_t state = HEDWIG_STATE_QUEUED, hedwig_time_ns due = 1000);
  op_pointer make_move(const hedwig_msg_id& id, std::uint64_t revision, std::uint32_t state, hedwig_time_ns due);
  op_pointer make_message(std::uint32_t kind, const hedwig_msg_id& id, const hedwig_storage_hint& hint = {});
  op_pointer make_list(std::uint32_t kind, std::uint32_t states, std::uint32_t limit, std::string_view cursor = {},
                       std::uint32_t flags = HEDWIG_LIST_METADATA);
  op_pointer make_append(std::uint32_t kind, std::uint64_t stage, std::string_view text = {});
  op_pointer make(std::uint32_t kind);
  hedwig_slice copy(std::string_view text);

  void submit(const std::vector<op_pointer>& ops);
  const answer& wait(const op_pointer& one);
  answer run(const op_pointer& one) {
    submit({one});
    return wait(one); // a copy: the op may be gone with the next semicolon
  }

  // In one call each, for the common case.
  answer put(const hedwig_msg_id& id, std::string_view body, std::string_view metadata = "meta",
             std::uint32_t state = HEDWIG_STATE_QUEUED, hedwig_time_ns due = 1000) {
    return run(make_put(id, body, metadata, state, due));
  }
  answer stat(const hedwig_msg_id& id) { return run(make_message(HEDWIG_STORAGE_STAT, id)); }
  answer remove(const hedwig_msg_id& id, const hedwig_storage_hint& hint = {}) {
    return run(make_message(HEDWIG_STORAGE_REMOVE, id, hint));
  }
  /// The whole body, by as many READs as it takes.
  answer read_all(const hedwig_msg_id& id, const hedwig_storage_hint& hint = {});
  /// All pages of a LIST.
  std::vector<entry_copy> list_all(std::uint32_t states, std::uint32_t limit = 100,
                                   std::uint32_t flags = HEDWIG_LIST_METADATA);
  answer stats() { return run(make(HEDWIG_STORAGE_STATS)); }
  answer claim(std::uint32_t states, hedwig_time_ns due_before, std::chrono::nanoseconds lease,
               std::uint32_t limit = 100);

  std::vector<std::string> logs();
  static std::int64_t buffers_alive();

private:
  static void complete(const hedwig_host* host, const hedwig_completion* done, std::size_t count);
  static void take(hedwig_op& one, const hedwig_completion& done);

  hedwig_host host_{};
  hedwig_config config_;
  const hedwig_provider* provider_ = nullptr;
  const hedwig_storage* table_ = nullptr;
  void* instance_ = nullptr;
  bool started_ = false;
  std::string error_;
  std::atomic<std::int64_t> offset_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> logs_;
};

/// Settings for a store in `path` that suit a test: small memory, no reserve.
hedwig_config settings_for(const std::string& provider, const std::string& path);
/// An id that sorts by `number`.
hedwig_msg_id id_of(std::uint64_t number);
/// Repeatable bytes that differ for every id.
std::string body_of(std::uint64_t number, std::size_t size);
std::string plugin_file(const std::string& provider);

} // namespace hedwig::test
