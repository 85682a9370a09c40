// SPDX-License-Identifier: Apache-2.0
// Opening, recovering, and what the store says about its disk.
#include "plugins/storage-rocksdb/store.hpp"

#include "free_space.hpp"

#include <hedwig/storage_folder.hpp>

#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/table_properties_collectors.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <future>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "plugins/storage-rocksdb/log_file.hpp"
#include "plugins/storage-rocksdb/ordered_files.hpp"

namespace hedwig::storage_rocksdb {

namespace {

constexpr hedwig_duration_ns check_interval = 100'000'000;
constexpr hedwig_duration_ns resume_delay_first = 250'000'000;
constexpr hedwig_duration_ns resume_delay_last = 5'000'000'000;
/// What is in memory is written out meanwhile.
constexpr hedwig_duration_ns resume_max = 60'000'000'000;

hedwig_status status_of(const rocksdb::Status& status) noexcept {
  if (status.IsNoSpace())
    return HEDWIG_E_NO_SPACE;
  if (status.IsCorruption())
    return HEDWIG_E_CORRUPT;
  return HEDWIG_E_IO;
}

/// What the database warns of goes to the host. A file of its own it would write to on the same disk, and as Debian
/// builds it, it ends the process when a write to that file has failed.
class database_log final : public rocksdb::Logger {
public:
  explicit database_log(const sdk::host& h) : Logger{rocksdb::InfoLogLevel::WARN_LEVEL}, host_{h} {}
  using rocksdb::Logger::Logv;
  void LogHeader(const char*, va_list) override {}
  void Logv(const char*, va_list) override {}
  void Logv(const rocksdb::InfoLogLevel level, const char* format, va_list arguments) override {
    if (level < GetInfoLogLevel() || level == rocksdb::InfoLogLevel::HEADER_LEVEL)
      return;
    char text[1024];
    std::vsnprintf(text, sizeof text, format, arguments);
    host_.log(HEDWIG_LOG_WARN, "the database reports", {{"why", text}});
  }

private:
  sdk::host host_;
};

/// Takes the place of the database's own log.
class silence final : public rocksdb::Logger {
public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

} // namespace

/// Hears of failed flushes and compactions; called on the database's threads.
class rocksdb_store::listener final : public rocksdb::EventListener {
public:
  explicit listener(rocksdb_store& store) : store_{store} {}
  void OnBackgroundError(rocksdb::BackgroundErrorReason reason, rocksdb::Status* status) override {
    if (reason == rocksdb::BackgroundErrorReason::kCompaction && status->IsCorruption()) {
      // Its inputs stand as they were: the database may go on, and what can be read of them is not lost.
      store_.note_damaged_table(*status);
      *status = rocksdb::Status::OK();
      return;
    }
    if (status->severity() < rocksdb::Status::Severity::kHardError)
      return; // writes go on, the database tries again by itself
    store_.background_ = status_of(*status);
    store_.set_health(status_of(*status), status->ToString());
  }
  // The writer thread resumes, so that two do not try at once.
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status, bool* automatic) override {
    *automatic = false;
  }

private:
  rocksdb_store& store_;
};

rocksdb_store::rocksdb_store(const sdk::host& h, const sdk::config& c) : store{h} {
  settings_.path = c.string("path");
  settings_.memtable_size = static_cast<std::uint64_t>(c.integer("memtable_size"));
  settings_.block_cache = static_cast<std::uint64_t>(c.integer("block_cache"));
  settings_.background_jobs = static_cast<int>(c.integer("background_jobs"));
  settings_.disk_reserve = static_cast<std::uint64_t>(c.integer("disk_reserve"));
  settings_.in_flight_bytes = static_cast<std::uint64_t>(c.integer("in_flight_bytes"));
  settings_.open_files = static_cast<int>(c.integer("open_files"));
  settings_.read_only = c.boolean("read_only");
}

rocksdb_store::~rocksdb_store() { close(); }

hedwig_storage_limits rocksdb_store::limits() const {
  return {sizeof(hedwig_storage_limits), HEDWIG_STORAGE_ZERO_COPY, 16384, 1024, settings_.in_flight_bytes, 0};
}

rocksdb::DBOptions rocksdb_store::database_options() {
  rocksdb::DBOptions options;
  if (!files_)
    files_ = rocksdb::NewCompositeEnv(std::make_shared<ordered_files>());
  options.env = files_.get();
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  // Drops a torn tail, which was never acknowledged. It cannot tell one from a record that was damaged later, and
  // would drop all behind that as well: see find_log_damage().
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  options.max_background_jobs = settings_.background_jobs;
  options.avoid_unnecessary_blocking_io = true;
  options.allow_concurrent_memtable_write = false; // there is one writer
  options.enable_write_thread_adaptive_yield = false;
  // Bounds what a start has to replay.
  options.max_total_wal_size = 4 * settings_.memtable_size;
  options.max_open_files = settings_.open_files;
  options.bytes_per_sync = 1024 * 1024;
  options.manifest_preallocation_size = 256 * 1024;
  options.info_log = std::make_shared<database_log>(the_host());
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.listeners = {std::make_shared<listener>(*this)};
  return options;
}

std::vector<rocksdb::ColumnFamilyDescriptor> rocksdb_store::families() {
  cache_ = rocksdb::NewLRUCache(settings_.block_cache);
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache_;
  table.cache_index_and_filter_blocks = true; // counted, so that ten million messages keep within block_cache
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.format_version = 5;

  rocksdb::ColumnFamilyOptions common;
  common.write_buffer_size = std::max<std::uint64_t>(settings_.memtable_size / 4, 256 * 1024);
  common.compression = rocksdb::kNoCompression;
  common.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));

  auto due = common;
  // The second line of defence against walks over dead keys; the first is due_floor.
  due.table_properties_collector_factories = {rocksdb::NewCompactOnDeletionCollectorFactory(16384, 8192)};

  auto meta = common;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10)); // most look-ups of REMOVE end here
  meta.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));

  auto body = meta;
  body.write_buffer_size = settings_.memtable_size;
  body.max_write_buffer_number = 3;
  body.enable_blob_files = true;
  body.min_blob_size = 1024;
  body.blob_file_size = 256 * 1024 * 1024;
  body.enable_blob_garbage_collection = true;
  body.blob_garbage_collection_age_cutoff = 0.25;
  body.blob_garbage_collection_force_threshold = 0.5;
  return {{rocksdb::kDefaultColumnFamilyName, common}, {"meta", meta}, {"due", due}, {"body", body}};
}

void rocksdb_store::lock_for_reading() {
  // The database takes no lock when it is opened for reading; without LOCK nobody ever opened it for more.
  auto path = settings_.path + "/LOCK";
  if (::access(path.c_str(), F_OK) != 0)
    return;
  auto status = rocksdb::Env::Default()->LockFile(path, &reading_lock_);
  auto text = status.ToString();
  auto says = [&](const char* part) { return text.find(part) != std::string::npos; };
  if (status.ok() || says("Read-only file system")) // where nobody can run
    return;
  if (says("lock hold by") || says("temporarily unavailable"))
    throw sdk::failure{HEDWIG_E_UNAVAILABLE, "another instance uses this spool (" + settings_.path + ")",
                       settings_.path};
  throw sdk::failure{HEDWIG_E_IO, "cannot lock the spool: " + text, settings_.path};
}

rocksdb::Status rocksdb_store::open_as(const rocksdb::DBOptions& options) {
  rocksdb::DB* raw = nullptr;
  std::vector<handle*> handles;
  auto status = settings_.read_only ? rocksdb::DB::OpenForReadOnly(options, settings_.path, families(), &handles, &raw)
                                    : rocksdb::DB::Open(options, settings_.path, families(), &handles, &raw);
  if (!status.ok())
    return status;
  db_.reset(raw);
  default_ = handles[0];
  meta_ = handles[1];
  due_ = handles[2];
  body_ = handles[3];
  return status;
}

/// To open takes a little space, and to write out what the log held as much as there is of that. On a full disk the one
/// comes out of the spare file, and the other waits.
rocksdb::Status rocksdb_store::open_for_all(rocksdb::DBOptions options) {
  auto status = open_as(options);
  if (!status.IsNoSpace() || !drop_spare())
    return status;
  the_host().log(HEDWIG_LOG_WARN, "the disk is full: opened with what was kept back for that", {});
  options.avoid_flush_during_recovery = true;
  return open_as(options);
}

bool rocksdb_store::drop_spare() noexcept {
  spare_is_there_ = false;
  return ::unlink((settings_.path + "/rocksdb.spare").c_str()) == 0;
}

/// Where the file system cannot set space aside there is none.
void rocksdb_store::keep_spare() {
  auto size = std::min(settings_.disk_reserve / 4, spare_max);
  if (spare_is_there_ || size == 0 || disk_free_ < settings_.disk_reserve + settings_.disk_reserve / 16 + size)
    return;
  spare_is_there_ = true; // or tried
  auto file = ::open((settings_.path + "/rocksdb.spare").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0)
    return;
  bool made = ::fallocate(file, 0, 0, static_cast<off_t>(size)) == 0;
  ::close(file);
  if (!made && !drop_spare())
    the_host().log(HEDWIG_LOG_WARN, "the spare file cannot be removed", {});
}

void rocksdb_store::open_database() {
  auto options = database_options();
  auto damage = find_log_damage(settings_.path);
  if (damage.is_certain() && !settings_.read_only)
    throw sdk::failure{HEDWIG_E_CORRUPT,
                       "the write-ahead log is damaged (" + damage.file + "), and to start would drop the " +
                           std::to_string(damage.groups_behind) + " commits behind the damage",
                       settings_.path};
  if (damage.is_certain()) {
    options.wal_recovery_mode = rocksdb::WALRecoveryMode::kSkipAnyCorruptedRecords;
    note_loss("the damaged part of " + damage.file);
  }
  if (settings_.read_only)
    options.info_log = std::make_shared<silence>(); // else it begins a new file
  auto status = settings_.read_only ? open_for_reading(options) : open_for_all(options);
  if (status.ok())
    return;
  auto text = status.ToString();
  if (text.find("ock file") != std::string::npos || text.find("lock hold by") != std::string::npos)
    throw sdk::failure{HEDWIG_E_UNAVAILABLE, "another instance uses this spool (" + settings_.path + ")",
                       settings_.path};
  throw sdk::failure{status_of(status), "cannot open the spool: " + text, settings_.path};
}

void rocksdb_store::open() {
  check_current();
  if (settings_.read_only) {
    if (::access((settings_.path + "/CURRENT").c_str(), F_OK) != 0)
      throw sdk::failure{HEDWIG_E_NOT_FOUND, "there is no RocksDB spool in " + settings_.path, settings_.path};
    lock_for_reading();
  } else {
    sdk::make_durable_folder(settings_.path);
    ::chmod(settings_.path.c_str(), 0700); // the database makes its files readable for all
  }
  summary_lost_ = records_left_out_ = false;
  open_database();
  background_ = HEDWIG_OK;
  table_damaged_ = false;
  compacts_ = true;
  resume_delay_ = resume_delay_first;
  check_format();
  recover_counters();
  if (summary_lost_)
    restore_summary();
  if (!settings_.read_only)
    drop_old_stages();
  watch(settings_.path);
  watch(settings_.path + "/LOCK");
  check_space();
}

void rocksdb_store::close() noexcept {
  if (reading_lock_ != nullptr)
    rocksdb::Env::Default()->UnlockFile(std::exchange(reading_lock_, nullptr));
  if (!db_)
    return;
  if (resuming_ && !resuming_->given_up)
    resuming_->end.wait_for(std::chrono::nanoseconds{resume_max});
  if (resuming_ && !resume_has_ended()) {
    the_host().log(HEDWIG_LOG_ERROR, "the spool is left open, what is acknowledged is in its log",
                   {{"why", "the database does not come back from resuming"}});
    // Its thread still uses all of this; the process is about to end.
    db_.release();
    files_.release();
    return;
  }
  resuming_.reset();
  stages_.clear();
  close_database();
}

void rocksdb_store::close_database() noexcept {
  for (auto** one : {&default_, &meta_, &due_, &body_})
    if (*one != nullptr)
      db_->DestroyColumnFamilyHandle(std::exchange(*one, nullptr));
  auto status = db_->Close();
  if (!status.ok())
    the_host().log(HEDWIG_LOG_ERROR, "the spool did not close cleanly", {{"why", status.ToString()}});
  db_.reset();
}

void rocksdb_store::check(const rocksdb::Status& status, const char* doing) {
  if (!status.ok())
    throw sdk::failure{status_of(status), std::string{doing} + ": " + status.ToString(), settings_.path};
}

void rocksdb_store::check_format() {
  std::string found;
  auto status = db_->Get({}, default_, rocksdb::Slice{format_key.data(), format_key.size()}, &found);
  if (is_damage(status) || (status.IsNotFound() && summary_lost_)) {
    summary_lost_ = true;
    if (!status.IsNotFound())
      note_damaged_table(status);
    return;
  }
  if (status.IsNotFound() && settings_.read_only)
    throw sdk::failure{HEDWIG_E_UNSUPPORTED, "the database is no spool of Hedwig's", settings_.path};
  if (status.IsNotFound()) {
    std::unique_ptr<rocksdb::Iterator> any{db_->NewIterator({}, meta_)};
    any->SeekToFirst();
    if (any->Valid())
      throw sdk::failure{HEDWIG_E_CORRUPT, "the database holds messages but no format version", settings_.path};
    rocksdb::WriteOptions synced;
    synced.sync = true;
    return check(db_->Put(synced, default_, rocksdb::Slice{format_key.data(), format_key.size()},
                          rocksdb::Slice{format_text.data(), format_text.size()}),
                 "writing the format version");
  }
  check(status, "reading the format version");
  if (found != format_text)
    throw sdk::failure{HEDWIG_E_UNSUPPORTED,
                       "the spool has format \"" + found.substr(0, 64) + "\", this plugin reads \"" +
                           std::string{format_text} + "\"",
                       settings_.path};
}

void rocksdb_store::recover_counters() {
  // Written with every batch, so they are as exact as the batches and cost a start nothing.
  counters now;
  floors lowest{};
  std::string found;
  auto status = db_->Get({}, default_, rocksdb::Slice{counters_key.data(), counters_key.size()}, &found);
  if (is_damage(status)) {
    summary_lost_ = true;
    note_damaged_table(status);
  } else if (!status.IsNotFound()) {
    check(status, "reading the counters");
    if (!decode_counters(found, now, lowest))
      throw sdk::failure{HEDWIG_E_CORRUPT, "the counters are damaged", settings_.path};
  }
  counters_ = now;
  floor_.reset(lowest);
}

void rocksdb_store::drop_old_stages() {
  std::unique_ptr<rocksdb::Iterator> at{db_->NewIterator({}, default_)};
  std::vector<std::uint64_t> left;
  for (at->Seek(rocksdb::Slice{stage_prefix.data(), stage_prefix.size()});
       at->Valid() && at->key().starts_with(rocksdb::Slice{stage_prefix.data(), stage_prefix.size()}); at->Next())
    left.push_back(stage_of_key(at->key().ToStringView()));
  if (is_damage(at->status()))
    note_damaged_table(at->status()); // what was never completed stays, and is in nobody's way
  else
    check(at->status(), "looking for stages");
  next_stage_ = 1;
  for (auto number : left)
    next_stage_ = std::max(next_stage_, number + 1);
  std::unique_ptr<rocksdb::Iterator> bodies{db_->NewIterator({}, body_)};
  bodies->SeekToLast();
  if (bodies->Valid())
    if (auto number = stage_of_body_key(bodies->key().ToStringView()))
      next_stage_ = std::max(next_stage_, *number + 1);
  if (is_damage(bodies->status()))
    note_damaged_table(bodies->status());
  else
    check(bodies->status(), "looking for the last stage");
  for (auto number : left)
    drop_stage(number);
  if (!left.empty())
    the_host().log(HEDWIG_LOG_INFO, "bodies that were never completed are dropped",
                   {{"count", std::to_string(left.size())}});
}

void rocksdb_store::check_space() {
  struct statvfs now {};
  if (::statvfs(settings_.path.c_str(), &now) != 0)
    return;
  auto free = static_cast<std::uint64_t>(now.f_bavail) * now.f_frsize;
  disk_free_ = free;
  if (settings_.read_only)
    return;
  // A little more than the reserve must be free before mail is taken again, else the answer flaps.
  auto wanted = no_space_ ? settings_.disk_reserve + settings_.disk_reserve / 16 : settings_.disk_reserve;
  no_space_ = free < wanted;
  if (background_ != HEDWIG_OK)
    return;
  keep_spare();
  if (no_space_)
    set_health(HEDWIG_E_NO_SPACE, stores::too_little_free(free, settings_.disk_reserve));
  else
    set_health(HEDWIG_OK, "enough space");
}

void rocksdb_store::try_resume(hedwig_time_ns steady) {
  if (background_ == HEDWIG_OK)
    return;
  if (resuming_)
    return watch_resume(steady);
  if (steady < next_resume_)
    return;
  check_space();
  if (!no_space_) // to fail for want of space once more, while resuming, is for good
    begin_resume(steady);
}

/// On a thread of its own: it waits for a flush, and in RocksDB 7.8 now and then for one that nobody has scheduled.
void rocksdb_store::begin_resume(hedwig_time_ns steady) {
  std::packaged_task<rocksdb::Status()> resume{[db = db_.get()] { return db->Resume(); }};
  resuming_.emplace(resume.get_future(), steady);
  std::thread{std::move(resume)}.detach();
}

bool rocksdb_store::resume_has_ended() noexcept {
  return resuming_->end.wait_for(std::chrono::seconds{0}) == std::future_status::ready;
}

void rocksdb_store::watch_resume(hedwig_time_ns steady) {
  if (!resume_has_ended()) {
    if (steady - resuming_->began >= resume_max && !std::exchange(resuming_->given_up, true))
      set_health(HEDWIG_E_IO, "the database does not come back from resuming; a restart helps");
    return;
  }
  auto status = resuming_->end.get();
  resuming_.reset();
  if (status.ok()) {
    background_ = HEDWIG_OK;
    resume_delay_ = resume_delay_first;
    return;
  }
  if (status.severity() > rocksdb::Status::Severity::kHardError) {
    background_ = HEDWIG_E_IO;
    set_health(HEDWIG_E_IO, "the database does not take writes again before a restart: " + status.ToString());
  }
  next_resume_ = steady + resume_delay_;
  resume_delay_ = std::min(resume_delay_ * 2, resume_delay_last);
}

void rocksdb_store::tick(hedwig_time_ns steady) {
  if (settings_.read_only)
    return;
  if (table_damaged_ && std::exchange(compacts_, false)) // it would come upon the damage again and again
    for (auto* family : {default_, meta_, due_, body_})
      db_->SetOptions(family, {{"disable_auto_compactions", "true"}});
  try_resume(steady);
  if (steady < next_check_ && health() == HEDWIG_OK)
    return;
  next_check_ = steady + check_interval;
  check_space();
}

hedwig_status rocksdb_store::failed(const rocksdb::Status& status) {
  auto why = resuming_ && resuming_->given_up ? HEDWIG_E_IO : status_of(status);
  if (background_.exchange(why) == HEDWIG_OK)
    next_resume_ = 0; // else the delay goes on growing
  set_health(why, status.ToString());
  return why;
}

} // namespace hedwig::storage_rocksdb
