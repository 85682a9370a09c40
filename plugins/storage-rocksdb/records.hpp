// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/storage.h>
#include <rocksdb/slice.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// WARNING: everything here is the format on disk, version 1 (key "format" of the default column family). Integers in
// keys are big-endian so that byte order is their order; in values they are little-endian.
//
//   column family  key                                    value
//   default        "format"                               format_text
//                  "counters"                             counters and floors, written with every batch
//                  "stage" number:8                       empty: this stage is not published yet
//   meta           id:16                                  meta_record
//   due            state:1 due:8 id:16                    empty; written once, removed once
//   body           id:16 chunk:4                          chunk of the body, crc32c:4; written once, removed once
//                  0xFE 0*7 number:8 chunk:4              the same for a body that was staged
namespace hedwig::storage_rocksdb {

inline constexpr std::string_view format_key = "format";
inline constexpr std::string_view format_text = "hedwig-rocksdb 1";
inline constexpr std::string_view counters_key = "counters";
inline constexpr std::string_view stage_prefix = "stage";

/// Every chunk of a body but the last has this size, so an offset names its chunk.
inline constexpr std::size_t chunk_size = 256 * 1024;
inline constexpr std::size_t chunk_trailer = 4;

inline std::uint32_t chunk_count(std::uint64_t body_size) noexcept {
  return static_cast<std::uint32_t>((body_size + chunk_size - 1) / chunk_size);
}

/// Where in the due index a message of one state stands: due time, then id.
using due_position = std::array<std::uint8_t, 24>;
using due_key = std::array<std::uint8_t, 25>;

inline rocksdb::Slice slice(std::string_view text) noexcept { return {text.data(), text.size()}; }

inline std::string_view view(const hedwig_msg_id& id) noexcept {
  return {reinterpret_cast<const char*>(id.bytes), sizeof id.bytes};
}
template <std::size_t Size>
std::string_view view(const std::array<std::uint8_t, Size>& key) noexcept {
  return {reinterpret_cast<const char*>(key.data()), Size};
}

due_position make_due_position(hedwig_time_ns due, const hedwig_msg_id& id) noexcept;
due_key make_due_key(std::uint32_t state, const due_position& at) noexcept;
hedwig_time_ns due_of(std::string_view position) noexcept;
hedwig_msg_id id_of(std::string_view sixteen) noexcept;

/// Where the body of a message is: under its own id or under the number of its stage.
struct body_place {
  hedwig_msg_id id{};
  std::uint64_t stage = 0; ///< 0: under the id
};
using body_key = std::array<std::uint8_t, 20>;
body_key make_body_key(const body_place& place, std::uint32_t chunk) noexcept;
/// The stage number of a key of a staged body.
std::optional<std::uint64_t> stage_of_body_key(std::string_view key) noexcept;
std::string make_stage_key(std::uint64_t number);
std::uint64_t stage_of_key(std::string_view key) noexcept;

struct meta_record {
  std::uint32_t state = 0;
  std::uint64_t revision = 0;
  hedwig_time_ns due = 0;
  std::uint64_t body_size = 0;
  std::uint64_t stage = 0;
  std::string_view metadata{};
};
inline constexpr std::size_t meta_header_size = 40;

/// The header with its checksum, which covers the id and the metadata too; the value is header and metadata.
std::array<char, meta_header_size> encode_meta_header(const hedwig_msg_id& id, const meta_record& record) noexcept;
/// Nothing when the checksum or the version does not fit. The metadata is a window into `value`.
std::optional<meta_record> decode_meta(const hedwig_msg_id& id, std::string_view value) noexcept;

/// The store's 16 bytes at the host: due time, state, whether the body was staged, size of the body.
hedwig_storage_hint make_hint(const meta_record& record) noexcept;
struct hint_content {
  std::uint32_t state;
  bool staged;
  hedwig_time_ns due;
  std::uint64_t body_size;
};
/// Nothing when the host had none.
std::optional<hint_content> read_hint(const hedwig_storage_hint& hint) noexcept;

struct state_counter {
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;
};
struct counters {
  std::array<state_counter, HEDWIG_STATE_COUNT> states{};

  void add(std::uint32_t state, std::uint64_t bytes) noexcept;
  void subtract(std::uint32_t state, std::uint64_t bytes) noexcept;
};
using floors = std::array<due_position, HEDWIG_STATE_COUNT>;

std::string encode_counters(const counters& now, const floors& lowest);
bool decode_counters(std::string_view value, counters& now, floors& lowest) noexcept;

} // namespace hedwig::storage_rocksdb
