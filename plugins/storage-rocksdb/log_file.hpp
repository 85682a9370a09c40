// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

// WARNING: the format of the database's own logs, the write-ahead log and the MANIFEST, as it has been since LevelDB:
// blocks of 32 KiB; in them fragments, each crc32c:4 (masked, of type and content) size:2 type:1 content; a record is
// one fragment (1) or first (2), middle (3) …, last (4); less than 7 bytes at the end of a block are zeros.
namespace hedwig::storage_rocksdb {

inline constexpr std::size_t log_block_size = 32 * 1024;

enum class log_state { sound, damaged, unreadable };

/// Gives every whole record of a log in order; `behind_damage`: something before it in this file cannot be read.
using log_record_taker = std::function<void(std::string_view record, bool behind_damage)>;
log_state read_log_file(const std::string& path, const log_record_taker& take);

/// Puts a record at the end of what is, or becomes, the content of a log.
void append_log_record(std::string& log, std::string_view record);

/// What of the write-ahead log the database would pass over, for it ends its recovery at the first record that it
/// cannot read. That is right for what a crash has torn off, which was never acknowledged. But a group is written only
/// when the one before is durable: where two groups stand behind the damage, something acknowledged was damaged later.
struct log_damage {
  std::uint64_t groups_behind = 0; ///< synced groups that can be read behind the damage
  std::string file;                ///< where it is
  [[nodiscard]] bool is_certain() const noexcept { return groups_behind >= 2; }
};
/// Reads the whole write-ahead log in the folder of a database that is not open.
[[nodiscard]] log_damage find_log_damage(const std::string& folder);

} // namespace hedwig::storage_rocksdb
