// SPDX-License-Identifier: Apache-2.0
#include "plugins/storage-rocksdb/records.hpp"

#include <hedwig/storage_crc.hpp>

#include <algorithm>
#include <bit>
#include <cstring>

namespace hedwig::storage_rocksdb {

namespace {

static_assert(std::endian::native == std::endian::little, "values are written little-endian");

constexpr std::uint8_t record_version = 1;
constexpr std::uint8_t staged_mark = 0xFE; // no receipt time starts so before the year 2554
constexpr std::uint64_t sign = std::uint64_t{1} << 63;

void put_big(std::uint8_t* out, std::uint64_t value, int bytes) noexcept {
  for (int i = bytes - 1; i >= 0; --i, value >>= 8)
    out[i] = static_cast<std::uint8_t>(value);
}

std::uint64_t get_big(const char* from, int bytes) noexcept {
  std::uint64_t value = 0;
  for (int i = 0; i < bytes; ++i)
    value = (value << 8) | static_cast<std::uint8_t>(from[i]);
  return value;
}

template <class Integer>
void put_little(char* out, Integer value) noexcept {
  std::memcpy(out, &value, sizeof value);
}

template <class Integer>
Integer get_little(const char* from) noexcept {
  Integer value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

std::uint32_t meta_sum(const hedwig_msg_id& id, const char* header, std::string_view metadata) noexcept {
  auto sum = sdk::crc32c(view(id));
  sum = sdk::crc32c({header, 4}, sum); // the sum itself stands at 4
  sum = sdk::crc32c({header + 8, meta_header_size - 8}, sum);
  return sdk::crc32c(metadata, sum);
}

} // namespace

due_position make_due_position(hedwig_time_ns due, const hedwig_msg_id& id) noexcept {
  due_position at;
  put_big(at.data(), static_cast<std::uint64_t>(due) ^ sign, 8); // times before 1970 first
  std::memcpy(at.data() + 8, id.bytes, sizeof id.bytes);
  return at;
}

due_key make_due_key(std::uint32_t state, const due_position& at) noexcept {
  due_key key;
  key[0] = static_cast<std::uint8_t>(state);
  std::memcpy(key.data() + 1, at.data(), at.size());
  return key;
}

hedwig_time_ns due_of(std::string_view position) noexcept {
  return static_cast<hedwig_time_ns>(get_big(position.data(), 8) ^ sign);
}

hedwig_msg_id id_of(std::string_view sixteen) noexcept {
  hedwig_msg_id id;
  std::memcpy(id.bytes, sixteen.data(), sizeof id.bytes);
  return id;
}

body_key make_body_key(const body_place& place, std::uint32_t chunk) noexcept {
  body_key key{};
  if (place.stage == 0) {
    std::memcpy(key.data(), place.id.bytes, sizeof place.id.bytes);
  } else {
    key[0] = staged_mark;
    put_big(key.data() + 8, place.stage, 8);
  }
  put_big(key.data() + 16, chunk, 4);
  return key;
}

std::optional<std::uint64_t> stage_of_body_key(std::string_view key) noexcept {
  if (key.size() != 20 || static_cast<std::uint8_t>(key[0]) != staged_mark)
    return std::nullopt;
  return get_big(key.data() + 8, 8);
}

std::string make_stage_key(std::uint64_t number) {
  std::uint8_t bytes[8];
  put_big(bytes, number, 8);
  return std::string{stage_prefix} + std::string{reinterpret_cast<char*>(bytes), 8};
}

std::uint64_t stage_of_key(std::string_view key) noexcept {
  return key.size() == stage_prefix.size() + 8 ? get_big(key.data() + stage_prefix.size(), 8) : 0;
}

std::array<char, meta_header_size> encode_meta_header(const hedwig_msg_id& id, const meta_record& record) noexcept {
  std::array<char, meta_header_size> header{};
  header[0] = static_cast<char>(record_version);
  header[1] = static_cast<char>(record.state);
  put_little(header.data() + 8, record.revision);
  put_little(header.data() + 16, record.due);
  put_little(header.data() + 24, record.body_size);
  put_little(header.data() + 32, record.stage);
  put_little(header.data() + 4, meta_sum(id, header.data(), record.metadata));
  return header;
}

std::optional<meta_record> decode_meta(const hedwig_msg_id& id, std::string_view value) noexcept {
  if (value.size() < meta_header_size || static_cast<std::uint8_t>(value[0]) != record_version)
    return std::nullopt;
  meta_record record;
  record.metadata = value.substr(meta_header_size);
  if (get_little<std::uint32_t>(value.data() + 4) != meta_sum(id, value.data(), record.metadata))
    return std::nullopt;
  record.state = static_cast<std::uint8_t>(value[1]);
  record.revision = get_little<std::uint64_t>(value.data() + 8);
  record.due = get_little<hedwig_time_ns>(value.data() + 16);
  record.body_size = get_little<std::uint64_t>(value.data() + 24);
  record.stage = get_little<std::uint64_t>(value.data() + 32);
  if (record.state == 0 || record.state >= HEDWIG_STATE_COUNT)
    return std::nullopt;
  return record;
}

hedwig_storage_hint make_hint(const meta_record& record) noexcept {
  hedwig_storage_hint hint{};
  put_big(hint.bytes, static_cast<std::uint64_t>(record.due), 8);
  hint.bytes[8] = static_cast<std::uint8_t>(record.state);
  hint.bytes[9] = record.stage != 0;
  put_big(hint.bytes + 10, record.body_size, 6);
  return hint;
}

std::optional<hint_content> read_hint(const hedwig_storage_hint& hint) noexcept {
  auto* bytes = reinterpret_cast<const char*>(hint.bytes);
  hint_content content{hint.bytes[8], hint.bytes[9] != 0, static_cast<hedwig_time_ns>(get_big(bytes, 8)),
                       get_big(bytes + 10, 6)};
  if (content.state == 0 || content.state >= HEDWIG_STATE_COUNT)
    return std::nullopt;
  return content;
}

void counters::add(std::uint32_t state, std::uint64_t bytes) noexcept {
  ++states[state].messages;
  states[state].bytes += bytes;
}

void counters::subtract(std::uint32_t state, std::uint64_t bytes) noexcept {
  auto& one = states[state];
  one.messages -= std::min<std::uint64_t>(one.messages, 1);
  one.bytes -= std::min(one.bytes, bytes);
}

std::string encode_counters(const counters& now, const floors& lowest) {
  std::string value;
  value.reserve(HEDWIG_STATE_COUNT * 40);
  for (std::uint32_t state = 1; state < HEDWIG_STATE_COUNT; ++state) {
    char numbers[16];
    put_little(numbers, now.states[state].messages);
    put_little(numbers + 8, now.states[state].bytes);
    value.append(numbers, sizeof numbers);
    value += view(lowest[state]);
  }
  return value;
}

bool decode_counters(std::string_view value, counters& now, floors& lowest) noexcept {
  constexpr std::size_t one = 16 + 24;
  if (value.size() != one * (HEDWIG_STATE_COUNT - 1))
    return false;
  for (std::uint32_t state = 1; state < HEDWIG_STATE_COUNT; ++state, value.remove_prefix(one)) {
    now.states[state] = {get_little<std::uint64_t>(value.data()), get_little<std::uint64_t>(value.data() + 8)};
    std::memcpy(lowest[state].data(), value.data() + 16, 24);
  }
  return true;
}

} // namespace hedwig::storage_rocksdb
