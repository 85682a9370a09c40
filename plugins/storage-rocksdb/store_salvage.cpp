// SPDX-License-Identifier: Apache-2.0
// Opening, for reading only, what is left of a database whose log or tables are damaged.
#include "plugins/storage-rocksdb/store.hpp"

#include <rocksdb/sst_file_reader.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "plugins/storage-rocksdb/log_file.hpp"
#include "plugins/storage-rocksdb/salvaged_files.hpp"

namespace hedwig::storage_rocksdb {

namespace {

void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7)
    out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

/// The MANIFEST's word for "this table is not part of the database any more". WARNING: the database's format on disk.
std::string removal_of(std::uint32_t family, const rocksdb::LiveFileMetaData& table) {
  constexpr std::uint64_t deleted_file = 6;
  constexpr std::uint64_t column_family = 200;
  std::string edit;
  put_varint(edit, deleted_file);
  put_varint(edit, static_cast<std::uint64_t>(table.level));
  put_varint(edit, table.file_number);
  if (family != 0) {
    put_varint(edit, column_family);
    put_varint(edit, family);
  }
  return edit;
}

bool can_be_opened(const rocksdb::LiveFileMetaData& table) {
  rocksdb::SstFileReader reader{rocksdb::Options{}};
  return reader.Open(table.db_path + "/" + table.relative_filename).ok();
}

/// Name and content of the MANIFEST in force; without what a crash has torn off its end.
std::pair<std::string, std::string> manifest_in(const std::string& folder) {
  std::string name, content;
  std::getline(std::ifstream{folder + "/CURRENT"}, name);
  read_log_file(folder + "/" + name, [&](std::string_view record, bool) { append_log_record(content, record); });
  return {name, content};
}

/// The newest; empty where there is none.
std::string last_manifest(const std::string& folder) {
  std::string last;
  std::error_code failed;
  for (auto& one : std::filesystem::directory_iterator{folder, failed})
    if (auto name = one.path().filename().string(); name.starts_with("MANIFEST-"))
      last = std::max(last, name);
  return last;
}

} // namespace

/// Without CURRENT the database would take the folder for an empty one, and in the end remove the files that a new one
/// has no use for: all mail.
void rocksdb_store::check_current() const {
  std::error_code failed;
  if (std::filesystem::exists(settings_.path + "/CURRENT", failed))
    return;
  for (auto& one : std::filesystem::directory_iterator{settings_.path, failed}) {
    auto ending = one.path().extension();
    if (ending != ".sst" && ending != ".blob" && ending != ".log")
      continue;
    auto manifest = last_manifest(settings_.path);
    throw sdk::failure{HEDWIG_E_CORRUPT,
                       "the file CURRENT is gone, but files of a database are there: " +
                           (manifest.empty() ? "put back CURRENT and the MANIFEST that it names from a backup"
                                             : "write the line " + manifest + " into it, which is the list of them"),
                       settings_.path};
  }
}

void rocksdb_store::note_loss(const std::string& what) {
  ++damaged_;
  the_host().log(HEDWIG_LOG_ERROR, "a part of the spool cannot be read: what stood there alone is lost",
                 {{"what", what}});
}

rocksdb::Status rocksdb_store::open_for_reading(rocksdb::DBOptions options) {
  auto status = open_as(options);
  if (status.IsCorruption()) { // a table that is not there, or a record that does not fit
    options.paranoid_checks = false;
    status = open_as(options);
  }
  return status.ok() ? leave_out_dead_tables(std::move(options)) : status;
}

/// A table that cannot be opened at all would end every walk, and hide what others have of the same keys.
rocksdb::Status rocksdb_store::leave_out_dead_tables(rocksdb::DBOptions options) {
  std::vector<rocksdb::LiveFileMetaData> tables;
  db_->GetLiveFilesMetaData(&tables);
  std::erase_if(tables, can_be_opened);
  if (tables.empty())
    return rocksdb::Status::OK();
  auto [name, content] = manifest_in(settings_.path);
  for (auto& table : tables) {
    for (auto* family : {default_, meta_, due_, body_})
      if (family->GetName() == table.column_family_name)
        append_log_record(content, removal_of(family->GetID(), table));
    note_loss(table.relative_filename + " of " + table.column_family_name);
    records_left_out_ = records_left_out_ || table.column_family_name == meta_->GetName();
    summary_lost_ = summary_lost_ || table.column_family_name == default_->GetName();
  }
  close_database();
  files_ = rocksdb::NewCompositeEnv(std::make_shared<salvaged_files>(name, std::move(content)));
  options.env = files_.get();
  options.paranoid_checks = false;
  return open_as(options);
}

void rocksdb_store::recount() {
  counters now;
  std::unique_ptr<rocksdb::Iterator> at{db_->NewIterator({}, meta_)};
  std::string last(sizeof(hedwig_msg_id), '\0');
  for (at->SeekToFirst();; at->Next()) {
    if (!at->Valid() && (!at->status().IsCorruption() || !skip_damaged(*at, last, 0)))
      break;
    last = at->key().ToStringView();
    if (auto record = decode_meta(id_of(last), at->value().ToStringView()))
      now.add(record->state, record->body_size);
  }
  if (!at->status().IsCorruption())
    check(at->status(), "counting the messages");
  counters_ = now;
  floor_.reset({});
}

/// What the small column family says of the whole: made anew where it cannot be read.
void rocksdb_store::restore_summary() {
  recount();
  if (settings_.read_only)
    return;
  the_host().log(HEDWIG_LOG_ERROR, "the counters of the spool cannot be read: counted anew", {});
  rocksdb::WriteBatch fresh;
  fresh.Put(default_, rocksdb::Slice{format_key.data(), format_key.size()},
            rocksdb::Slice{format_text.data(), format_text.size()});
  fresh.Put(default_, rocksdb::Slice{counters_key.data(), counters_key.size()}, encode_counters(counters_, {}));
  rocksdb::WriteOptions synced;
  synced.sync = true;
  check(db_->Write(synced, &fresh), "writing the counters");
}

} // namespace hedwig::storage_rocksdb
