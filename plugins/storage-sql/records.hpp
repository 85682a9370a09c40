// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/storage.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

// WARNING: keys and sums stand in the database; see statements.cpp for the tables.
namespace hedwig::storage_sql {

/// Every chunk of a body but the last has this size, so an offset names its chunk.
inline constexpr std::size_t chunk_size = 256 * 1024;

inline std::string_view view(const hedwig_msg_id& id) noexcept {
  return {reinterpret_cast<const char*>(id.bytes), sizeof id.bytes};
}
inline hedwig_msg_id id_of(std::string_view sixteen) noexcept {
  hedwig_msg_id id{};
  std::memcpy(id.bytes, sixteen.data(), sixteen.size() < sizeof id.bytes ? sixteen.size() : sizeof id.bytes);
  return id;
}

/// The key of a body: the message's id, or for a staged one, whose id is not known yet, a mark and its stage.
using body_key = std::array<char, 16>;
body_key make_body_key(const hedwig_msg_id& id, std::int64_t stage) noexcept;
inline std::string_view view(const body_key& key) noexcept { return {key.data(), key.size()}; }

/// CRC-32C over key and number of the chunk, so that a chunk in a wrong place is found out; then over its bytes.
std::uint32_t chunk_sum_start(const body_key& key, std::uint32_t chunk) noexcept;
/// CRC-32C of what a MOVE does not change, and of the metadata.
std::uint32_t metadata_sum(const hedwig_msg_id& id, std::int64_t stage, std::uint64_t body_size,
                           std::string_view metadata) noexcept;

/// The store's 16 bytes at the host: what a READ needs.
struct hint_content {
  std::uint64_t body_size = 0;
  std::int64_t stage = 0; ///< 0: the body lies under the message's id
};
hedwig_storage_hint make_hint(const hint_content& content) noexcept;
/// Nothing when the host had none.
std::optional<hint_content> read_hint(const hedwig_storage_hint& hint) noexcept;

} // namespace hedwig::storage_sql
