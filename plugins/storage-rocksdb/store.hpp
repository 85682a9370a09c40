// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/storage.hpp>

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/listener.h>
#include <rocksdb/write_batch.h>

#include <atomic>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "plugins/storage-rocksdb/due_floor.hpp"
#include "plugins/storage-rocksdb/records.hpp"

namespace hedwig::storage_rocksdb {

struct settings {
  std::string path;
  std::uint64_t memtable_size = 0; ///< of bodies; metadata and due index get a quarter each
  std::uint64_t block_cache = 0;
  int background_jobs = 2;
  std::uint64_t disk_reserve = 0;
  std::uint64_t in_flight_bytes = 0;
  int open_files = 0;
  bool read_only = false;
};

/// A body under way: chunks go to the database as they fill up, without a sync; the PUT's sync covers them.
struct stage_state {
  std::string pending; ///< less than one chunk
  std::uint64_t size = 0;
  std::uint32_t chunks = 0;
  bool broken = false;
};

/// The default store: one synced WriteBatch a group over three column families. Owned by its store_provider; see
/// sdk::store for the threads. The stages belong to the writer thread, counters and floors have their own locks.
class rocksdb_store final : public sdk::store {
public:
  /// Disk space kept back, out of disk_reserve, so that the database opens on a full disk.
  static constexpr std::uint64_t spare_max = 64 * 1024 * 1024;
  /// One READ returns this much at most, when the host does not wish for less.
  static constexpr std::uint64_t read_max = 4 * chunk_size;

  rocksdb_store(const sdk::host& h, const sdk::config& c);
  ~rocksdb_store() override;

  hedwig_storage_limits limits() const override;
  void open() override;
  void close() noexcept override;
  void commit(std::span<sdk::pending_write> group) override;
  sdk::stored_entry stat(const hedwig_message_request& request) override;
  sdk::read_slices read(const hedwig_message_request& request) override;
  sdk::entry_page list(const hedwig_list_request& request, const claim_times* claim) override;
  sdk::state_stats stats() override;
  void tick(hedwig_time_ns steady) override;

private:
  class listener;
  class group_builder;
  friend class group_builder;
  using handle = rocksdb::ColumnFamilyHandle;

  // store_open.cpp
  rocksdb::DBOptions database_options();
  void open_database();
  [[nodiscard]] rocksdb::Status open_as(const rocksdb::DBOptions& options);
  void close_database() noexcept;
  void lock_for_reading();
  std::vector<rocksdb::ColumnFamilyDescriptor> families();
  /// Both set summary_lost_ where they cannot be read for damage.
  void check_format();
  void recover_counters();
  void drop_old_stages();
  [[nodiscard]] rocksdb::Status open_for_all(rocksdb::DBOptions options);
  void keep_spare();
  [[nodiscard]] bool drop_spare() noexcept;
  void check_space();
  void try_resume(hedwig_time_ns steady);
  void begin_resume(hedwig_time_ns steady);
  void watch_resume(hedwig_time_ns steady);
  bool resume_has_ended() noexcept;
  hedwig_status failed(const rocksdb::Status& status);
  void check(const rocksdb::Status& status, const char* doing);

  // store_salvage.cpp
  void check_current() const;
  void note_loss(const std::string& what);
  [[nodiscard]] rocksdb::Status open_for_reading(rocksdb::DBOptions options);
  [[nodiscard]] rocksdb::Status leave_out_dead_tables(rocksdb::DBOptions options);
  void recount();
  void restore_summary();
  /// Whether a failed read means that what was to be read is damaged. Who only looks goes on where a disk fails.
  [[nodiscard]] bool is_damage(const rocksdb::Status& status) const noexcept {
    return status.IsCorruption() || status.IsPathNotFound() || (settings_.read_only && status.IsIOError());
  }

  // store_commit.cpp
  void drop_stage(std::uint64_t number);

  // store_read.cpp
  bool load(const hedwig_msg_id& id, std::string& value, meta_record& record, const rocksdb::ReadOptions& how = {});
  void note_damage(const hedwig_msg_id& id, const char* what);
  void note_damaged_table(const rocksdb::Status& status);

  // store_damage.cpp
  /// What is left of a message whose record failed its checks.
  struct remains {
    body_place place{};
    std::uint64_t body_size = 0;
    std::string metadata; ///< the damaged value's, unchecked
  };
  remains salvage(const hedwig_msg_id& id);
  std::uint64_t stored_size(const body_place& place);
  struct due_place {
    std::uint32_t state = 0;
    hedwig_time_ns due = 0;
  };
  /// The first `limit` ids between both, by id, out of the whole index by due time.
  std::map<std::string, due_place> indexed_between(const std::string& after, const std::string& before,
                                                   std::size_t limit);
  std::optional<due_position> find_due(const hedwig_msg_id& id, std::uint32_t& state);
  bool is_indexed(const hedwig_msg_id& id, const meta_record& record);
  sdk::stored_entry make_damaged(const hedwig_msg_id& id, std::uint32_t state, hedwig_time_ns due, const char* why);
  /// Moves `at` from `last`, the key it could read last, over those that it cannot; false when there are none behind
  /// them that begin with the same `prefix` bytes.
  static bool skip_damaged(rocksdb::Iterator& at, const std::string& last, std::size_t prefix);
  sdk::stored_entry make_entry(const hedwig_msg_id& id, const meta_record& record, bool with_metadata);
  hedwig_slice read_chunk(const body_place& place, std::uint32_t chunk, std::uint64_t offset, std::uint64_t length);
  sdk::entry_page list_by_receipt(const hedwig_list_request& request);
  void add_record(sdk::entry_page& page, std::size_t& bytes, const hedwig_list_request& request,
                  const hedwig_msg_id& id, const meta_record& record);
  bool add_from_index(sdk::entry_page& page, std::size_t& bytes, const hedwig_list_request& request, std::string& last,
                      const std::string& behind);
  void add_by_receipt(sdk::entry_page& page, std::size_t& bytes, const hedwig_list_request& request,
                      const hedwig_msg_id& id, std::string_view value);
  class due_walk;
  bool add_listed(sdk::entry_page& page, std::size_t& bytes, const hedwig_list_request& request, std::uint32_t state,
                  std::string_view position, const claim_times* claim, const rocksdb::ReadOptions& how);

  settings settings_;
  std::shared_ptr<rocksdb::Cache> cache_; // outlives the database as long as a buffer of the host is pinned in it
  std::unique_ptr<rocksdb::Env> files_;   // outlives the database
  std::unique_ptr<rocksdb::DB> db_;
  handle* default_ = nullptr;
  handle* meta_ = nullptr;
  handle* due_ = nullptr;
  handle* body_ = nullptr;

  rocksdb::WriteBatch batch_; // reused: its memory stays
  std::unordered_map<std::uint64_t, stage_state> stages_;
  std::uint64_t next_stage_ = 1;

  std::mutex counters_mutex_;
  counters counters_;
  due_floor floor_;
  std::atomic<std::uint64_t> damaged_{0};
  std::atomic<bool> table_damaged_{false};
  bool summary_lost_ = false;     // format and counters, while opening
  bool records_left_out_ = false; // a table of the metadata cannot be opened
  bool compacts_ = true;          // the writer's own
  rocksdb::FileLock* reading_lock_ = nullptr;
  std::atomic<std::uint64_t> disk_free_{0};
  bool spare_is_there_ = false; // the writer's own

  std::atomic<hedwig_status> background_{HEDWIG_OK}; // what the database failed with; OK again after a resume
  bool no_space_ = false;                            // below the reserve; the writer's own
  hedwig_time_ns next_check_ = 0;
  hedwig_time_ns next_resume_ = 0;
  hedwig_duration_ns resume_delay_ = 0;
  /// A call of Resume(), on a thread of its own.
  struct resumption {
    std::future<rocksdb::Status> end;
    hedwig_time_ns began = 0;
    bool given_up = false;
  };
  std::optional<resumption> resuming_;
};

} // namespace hedwig::storage_rocksdb
