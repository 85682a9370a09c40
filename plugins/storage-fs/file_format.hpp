// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/storage.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// WARNING: everything here is the format on disk, version 1 (file "format"). docs/storage-fs.md shows it with an
// example.
//
//   message file  header line:256, body, metadata, and for a body of several chunks their sums, 8 hex digits each
//   meta file     header line:256, metadata
//
// The body stands before the metadata since a body that is staged comes before its metadata is known.
namespace hedwig::storage_fs {

inline constexpr std::string_view format_text = "hedwig-fs 1\n";
inline constexpr std::size_t header_size = 256;
inline constexpr std::size_t chunk_size = 256 * 1024;
inline constexpr unsigned shard_count = 64;

std::string id_text(const hedwig_msg_id& id);
std::optional<hedwig_msg_id> parse_id(std::string_view text) noexcept;

/// "queued" for HEDWIG_STATE_QUEUED and so on.
std::string_view folder_of(std::uint32_t state) noexcept;
/// "00" to "3f": messages of the same minute stand together, so that a group touches one folder.
std::string shard_of(const hedwig_msg_id& id);

struct file_header {
  hedwig_msg_id id{};
  std::uint32_t state = 0;
  std::uint64_t revision = 1;
  hedwig_time_ns due = 0;
  std::uint64_t body_size = 0;
  std::uint64_t metadata_size = 0;
  std::uint32_t body_sum = 0; ///< of the body, or of the list of its chunks' sums
  std::uint32_t metadata_sum = 0;
};
/// Exactly header_size characters, the last a newline.
std::string encode(const file_header& header);
/// Nothing when it is no header of ours or its own sum does not fit.
std::optional<file_header> decode(std::string_view text) noexcept;

/// Sums a body chunk by chunk as it comes. The header, which has the id, ties the sums to the message.
class body_sums {
public:
  void add(std::string_view text);
  /// For the header, after the last add(). `list` is what stands at the end of the file; empty for one chunk.
  std::uint32_t finish(std::string& list);
  std::uint64_t size() const noexcept { return size_; }

private:
  std::uint32_t running_ = 0;
  std::size_t in_chunk_ = 0;
  std::uint64_t size_ = 0;
  std::vector<std::uint32_t> done_;
};
inline std::uint64_t sum_list_size(std::uint64_t body_size) noexcept {
  return body_size <= chunk_size ? 0 : (body_size + chunk_size - 1) / chunk_size * 8;
}

/// What the name of a message file says: all that a start must know, so that it opens no file.
struct message_name {
  hedwig_msg_id id{};
  std::uint32_t state = 0; ///< of the PUT
  hedwig_time_ns due = 0;  ///< of the PUT
  std::uint64_t body_size = 0;
};
std::string make_name(const message_name& name); ///< ID.state.due.size.msg
std::optional<message_name> parse_message_name(std::string_view text) noexcept;

struct meta_name {
  hedwig_msg_id id{};
  std::uint64_t revision = 0;
  std::uint32_t state = 0;
  hedwig_time_ns due = 0;
};
std::string make_name(const meta_name& name); ///< ID.revision.state.due.meta
std::optional<meta_name> parse_meta_name(std::string_view text) noexcept;

} // namespace hedwig::storage_fs
