// SPDX-License-Identifier: Apache-2.0
#include "plugins/storage-sql/records.hpp"

#include <hedwig/storage_crc.hpp>

namespace hedwig::storage_sql {

namespace {

constexpr char staged_mark = '\xFE'; // no receipt time starts so before the year 2554
constexpr std::uint8_t hint_mark = 1;

void put_big(char* out, std::uint64_t value, int bytes) noexcept {
  for (int i = bytes - 1; i >= 0; --i, value >>= 8)
    out[i] = static_cast<char>(value);
}

std::uint64_t get_big(const std::uint8_t* from, int bytes) noexcept {
  std::uint64_t value = 0;
  for (int i = 0; i < bytes; ++i)
    value = (value << 8) | from[i];
  return value;
}

} // namespace

body_key make_body_key(const hedwig_msg_id& id, std::int64_t stage) noexcept {
  body_key key{};
  if (stage == 0) {
    std::memcpy(key.data(), id.bytes, sizeof id.bytes);
  } else {
    key[0] = staged_mark;
    put_big(key.data() + 8, static_cast<std::uint64_t>(stage), 8);
  }
  return key;
}

std::uint32_t chunk_sum_start(const body_key& key, std::uint32_t chunk) noexcept {
  char number[4];
  put_big(number, chunk, 4);
  return sdk::crc32c({number, sizeof number}, sdk::crc32c(view(key)));
}

std::uint32_t metadata_sum(const hedwig_msg_id& id, std::int64_t stage, std::uint64_t body_size,
                           std::string_view metadata) noexcept {
  char numbers[16];
  put_big(numbers, static_cast<std::uint64_t>(stage), 8);
  put_big(numbers + 8, body_size, 8);
  return sdk::crc32c(metadata, sdk::crc32c({numbers, sizeof numbers}, sdk::crc32c(view(id))));
}

hedwig_storage_hint make_hint(const hint_content& content) noexcept {
  hedwig_storage_hint hint{};
  auto* out = reinterpret_cast<char*>(hint.bytes);
  hint.bytes[0] = hint_mark;
  put_big(out + 2, content.body_size, 6);
  put_big(out + 8, static_cast<std::uint64_t>(content.stage), 8);
  return hint;
}

std::optional<hint_content> read_hint(const hedwig_storage_hint& hint) noexcept {
  if (hint.bytes[0] != hint_mark)
    return std::nullopt;
  return hint_content{get_big(hint.bytes + 2, 6), static_cast<std::int64_t>(get_big(hint.bytes + 8, 8))};
}

} // namespace hedwig::storage_sql
