// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/storage.hpp>

#include <map>
#include <set>
#include <unordered_map>

#include "plugins/storage-fs/file_format.hpp"
#include "plugins/storage-fs/file_pool.hpp"
#include "plugins/storage-fs/message_index.hpp"
#include "plugins/storage-fs/posix.hpp"

namespace hedwig::storage_fs {

struct settings {
  std::string path;
  std::string sync; ///< auto, syncfs, fsync
  std::size_t free_files = 0;
  std::uint64_t disk_reserve = 0;
  std::uint64_t in_flight_bytes = 0;
  bool read_only = false;
};

/// A body under way, under a temporary name.
struct stage_state {
  file_pool::file file;
  body_sums sums;
  bool broken = false;
};

/// One file a message, for people who want to look. Owned by its store_provider; see sdk::store for the threads.
///
/// The truth: a message exists while a message file with its id stands in any state folder. Its state, due time,
/// revision and metadata are those of its meta file with the highest revision, or, without one, those in the name and
/// the header of the message file. The folder in which the message file stands is a courtesy to people and follows
/// later.
///
/// From that the order of one group:
///   1. everything is written under temporary names in free/, and synced
///   2. renames publish: message files into their folder, meta files into meta/; removed message files leave for free/;
///      message files that change folder get a second name (link)
///   3. each folder touched is synced: now the group is durable, and completed
///   4. after that only: old names of moved files, old meta files and those of removed messages go, and removed files
///   may
///      be written over. Each is harmless if a crash undoes it: a second name, a lower revision, a meta file of nobody.
///      Folders that lose a name here are synced with the next group.
/// A REMOVE lets the message file go before the meta file: the other way round a crash would bring the message back
/// with recipients that were already served.
class fs_store final : public sdk::store {
public:
  static constexpr std::uint64_t read_max = 4 * chunk_size;
  /// More folders than this in one group: one syncfs in place of as many fsyncs.
  static constexpr std::size_t folder_syncs_max = 16;
  static constexpr std::size_t foreign_header_max = HEDWIG_METADATA_MAX - 64 * 1024;
  /// Of the older form the whole file is parsed, also to read a part of its body.
  static constexpr std::size_t foreign_packed_max = 256 * 1024 * 1024;

  fs_store(const sdk::host& h, const sdk::config& c);
  ~fs_store() override;

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
  class group_commit;
  friend class group_commit;

  // store_open.cpp
  void make_folders();
  void lock_spool();
  void check_format();
  void write_format();
  void choose_sync();
  [[nodiscard]] bool is_spool_of_0_10() const;
  void drop_name(const std::string& path) noexcept;
  void drop_second_name(const hedwig_msg_id& id, const std::string& path);
  void scan();
  void scan_messages(std::uint32_t state, const std::string& folder);
  void scan_meta(const std::string& folder);
  bool works_again() noexcept;
  void check_space();
  void note_failed_write(hedwig_status status, const char* why);

  // store_commit.cpp
  int folder_fd(const std::string& folder);
  void sync_folder(const std::string& folder);

  // store_read.cpp
  static std::string path_of(const hedwig_msg_id& id, const record& what, std::uint32_t folder);
  static std::string path_of(const hedwig_msg_id& id, const record& what) { return path_of(id, what, what.folder); }
  static std::string meta_path_of(const hedwig_msg_id& id, const record& what);
  unique_fd open_to_read(const std::string& path) const;
  [[noreturn]] void damaged(const hedwig_msg_id& id, const std::string& why);
  file_header read_header(const hedwig_msg_id& id, int fd, const std::string& path);
  /// Throws NOT_FOUND when the files are not there, CORRUPT when they are damaged.
  std::string load_metadata(const hedwig_msg_id& id, const record& what);
  /// Whether `one` is to be listed, with what became of it meanwhile and, wanted or damaged, its metadata.
  bool load_listed(sdk::stored_entry& entry, indexed& one, const hedwig_list_request& request,
                   const claim_times* claim);
  sdk::stored_entry make_damaged(const hedwig_msg_id& id, const record& what, const std::string& why);
  std::string salvage_metadata(const hedwig_msg_id& id, const record& what) const;
  sdk::stored_entry make_entry(const hedwig_msg_id& id, const record& what, std::string metadata);
  hedwig_slice read_chunk(int fd, const std::string& path, const file_header& header, const std::string& sums,
                          const hedwig_msg_id& id, std::uint64_t chunk, std::uint64_t within, std::uint64_t length);
  hedwig_slice copied(std::string_view text);
  hedwig_slice read_plain(int fd, const std::string& path, std::uint64_t offset, std::uint64_t length);

  // foreign.cpp
  bool recognise_foreign(std::uint32_t state, const std::string& folder, const std::string& name, record& what,
                         hedwig_msg_id& id);
  bool is_same_file(const hedwig_msg_id& id, const record& one, const record& other) const;
  record better_of(const hedwig_msg_id& id, const record& first, const record& second);
  void recognise_form(int fd, const std::string& path, std::uint64_t size, record& what);
  hedwig_time_ns foreign_due(const hedwig_msg_id& id, const record& what, hedwig_time_ns modified) const;
  std::string load_foreign_note(const hedwig_msg_id& id) const;
  std::string load_packed(const hedwig_msg_id& id, int fd, const std::string& path);
  sdk::read_slices read_foreign(const hedwig_message_request& request, const record& what, int fd,
                                const std::string& path);
  std::string load_foreign_metadata(const hedwig_msg_id& id, const record& what);
  static std::string foreign_note_of(const hedwig_msg_id& id);

  settings settings_;
  unique_fd base_;
  unique_fd lock_;
  bool whole_file_system_ = false; // syncfs
  parallel_sync syncer_;
  file_pool pool_;
  message_index index_;
  std::map<std::string, unique_fd> folders_;

  // The writer thread's own.
  std::unordered_map<std::uint64_t, stage_state> stages_;
  std::uint64_t next_stage_ = 1;
  std::set<std::string> unsynced_folders_; // lost a name in step 4 of an earlier group
  /// Old names of moved messages that could not be taken away, and copies that Hedwig 0.10 left in another folder: a
  /// REMOVE must take them along, or the message comes back.
  std::map<hedwig_msg_id, std::set<std::string>, id_less> second_names_;
  bool no_space_ = false;
  bool write_failed_ = false; ///< since the last check
  hedwig_time_ns next_check_ = 0;
  /// An operation failed, and none has got through since: see works_again().
  bool failing_ = false;
  /// After a sync that failed the kernel may call lost pages clean: nothing more is acknowledged.
  bool broken_ = false;

  std::atomic<std::uint64_t> damaged_count_{0};
  std::atomic<std::uint64_t> disk_free_{0};
};

} // namespace hedwig::storage_fs
