// SPDX-License-Identifier: Apache-2.0
#include "plugins/storage-rocksdb/log_file.hpp"

#include <hedwig/storage_crc.hpp>

#include <rocksdb/write_batch.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>

#include "plugins/storage-rocksdb/records.hpp"

namespace hedwig::storage_rocksdb {

namespace {

constexpr std::size_t fragment_header = 7;
enum : std::uint8_t { full_fragment = 1, first_fragment, middle_fragment, last_fragment };
/// Sequence number:8 and count:4 stand before the operations of a group.
constexpr std::size_t batch_header = 12;

std::uint32_t masked_sum(std::string_view type_and_content) noexcept {
  auto sum = sdk::crc32c(type_and_content);
  return ((sum >> 15) | (sum << 17)) + 0xA282EAD8U;
}

template <class Integer>
Integer little_endian(std::string_view bytes) noexcept {
  Integer value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

/// Puts the fragments of one log together again.
class log_reader {
public:
  explicit log_reader(const log_record_taker& take) : take_{take} {}

  void read_block(std::string_view block) {
    while (block.size() >= fragment_header) {
      auto size = fragment_header + little_endian<std::uint16_t>(block.substr(4));
      auto type = static_cast<std::uint8_t>(block[6]);
      bool known = type >= full_fragment && type <= last_fragment && size <= block.size();
      if (!known)
        return lose(); // how far it goes is not known
      if (masked_sum(block.substr(6, size - 6)) == little_endian<std::uint32_t>(block))
        add(type, block.substr(fragment_header, size - fragment_header));
      else
        lose();
      block.remove_prefix(size);
    }
  }

  /// Whether something could not be read, up to the end.
  [[nodiscard]] bool is_damaged() const noexcept { return damaged_ || record_; }

private:
  void lose() {
    damaged_ = true;
    record_.reset();
  }

  void add(std::uint8_t type, std::string_view content) {
    bool begins = type == full_fragment || type == first_fragment;
    if (begins == record_.has_value())
      lose(); // the other half of a record is missing
    if (begins)
      record_.emplace();
    if (!record_)
      return;
    record_->append(content);
    if (type == full_fragment || type == last_fragment) {
      take_(*record_, damaged_);
      record_.reset();
    }
  }

  const log_record_taker& take_;
  std::optional<std::string> record_;
  bool damaged_ = false;
};

/// Whether a group was synced when its write returned: those bring the counters.
bool is_synced_group(std::string_view record) {
  struct finder final : rocksdb::WriteBatch::Handler {
    bool found = false;
    rocksdb::Status PutCF(std::uint32_t family, const rocksdb::Slice& key, const rocksdb::Slice&) override {
      found = found || (family == 0 && key == rocksdb::Slice{counters_key.data(), counters_key.size()});
      return rocksdb::Status::OK();
    }
    rocksdb::Status DeleteCF(std::uint32_t, const rocksdb::Slice&) override { return rocksdb::Status::OK(); }
    rocksdb::Status SingleDeleteCF(std::uint32_t, const rocksdb::Slice&) override { return rocksdb::Status::OK(); }
  } counters;
  static_cast<void>(rocksdb::WriteBatch{std::string{record}}.Iterate(&counters));
  return counters.found;
}

std::map<std::uint64_t, std::string> logs_in(const std::string& folder) {
  std::map<std::uint64_t, std::string> found;
  std::error_code failed;
  for (auto& one : std::filesystem::directory_iterator{folder, failed}) {
    auto name = one.path().filename().string();
    if (name.ends_with(".log") && name.find_first_not_of("0123456789") == name.size() - 4 && name.size() < 24)
      found.emplace(std::strtoull(name.c_str(), nullptr, 10), one.path().string());
  }
  return found;
}

} // namespace

log_state read_log_file(const std::string& path, const log_record_taker& take) {
  std::ifstream file{path, std::ios::binary};
  log_reader reader{take};
  std::string block(log_block_size, '\0');
  while (file.read(block.data(), static_cast<std::streamsize>(block.size())) || file.gcount() > 0)
    reader.read_block(std::string_view{block}.substr(0, static_cast<std::size_t>(file.gcount())));
  if (!file.eof())
    return log_state::unreadable;
  return reader.is_damaged() ? log_state::damaged : log_state::sound;
}

void append_log_record(std::string& log, std::string_view record) {
  for (bool first = true, last = false; !last; first = false) {
    auto left = log_block_size - log.size() % log_block_size;
    if (left < fragment_header) {
      log.append(left, '\0');
      left = log_block_size;
    }
    auto content = record.substr(0, left - fragment_header);
    record.remove_prefix(content.size());
    last = record.empty();
    std::string typed{
        static_cast<char>(first ? (last ? full_fragment : first_fragment) : (last ? last_fragment : middle_fragment))};
    typed += content;
    auto sum = masked_sum(typed);
    auto size = static_cast<std::uint16_t>(content.size());
    log.append(reinterpret_cast<const char*>(&sum), sizeof sum);
    log.append(reinterpret_cast<const char*>(&size), sizeof size);
    log.append(typed);
  }
}

log_damage find_log_damage(const std::string& folder) {
  log_damage found;
  std::optional<std::uint64_t> expected; // the sequence number of the next group
  bool damaged = false;                  // an earlier file
  for (auto& [number, path] : logs_in(folder)) {
    auto state = read_log_file(path, [&, &file = path](std::string_view record, bool behind_damage) {
      if (record.size() < batch_header)
        return;
      auto sequence = little_endian<std::uint64_t>(record);
      // A start after a crash goes on where the sound part of the old log ended: then nothing is missing.
      if ((damaged || behind_damage) && !(expected && sequence <= *expected)) {
        if (is_synced_group(record)) {
          ++found.groups_behind;
          found.file = file;
        }
        return;
      }
      expected = sequence + little_endian<std::uint32_t>(record.substr(8));
      damaged = false;
      found = {};
    });
    if (state == log_state::unreadable)
      break; // the database will say why
    damaged = damaged || state == log_state::damaged;
  }
  return found;
}

} // namespace hedwig::storage_rocksdb
