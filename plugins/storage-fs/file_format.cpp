// SPDX-License-Identifier: Apache-2.0
#include "plugins/storage-fs/file_format.hpp"

#include <hedwig/storage_crc.hpp>

#include <array>
#include <charconv>
#include <cinttypes>
#include <cstdio>
#include <cstring>

namespace hedwig::storage_fs {

namespace {

constexpr std::string_view mark = "HEDWIGFS1";
constexpr std::string_view alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr std::size_t sum_at = header_size - 9; // eight digits and the newline

std::string hex(std::uint32_t value) {
  char text[9];
  std::snprintf(text, sizeof text, "%08" PRIx32, value);
  return text;
}

int value_of(char c) noexcept {
  auto at = alphabet.find(c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

/// "key=value " at the front of `text`; false when it is something else.
template <class Integer>
bool take(std::string_view& text, std::string_view key, Integer& value, int base = 10) noexcept {
  if (!text.starts_with(key))
    return false;
  text.remove_prefix(key.size());
  auto got = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (got.ec != std::errc{} || got.ptr == text.data() + text.size() || *got.ptr != ' ')
    return false;
  text.remove_prefix(static_cast<std::size_t>(got.ptr - text.data()) + 1);
  return true;
}

/// "number." at the front of `text`.
template <class Integer>
bool take_part(std::string_view& text, Integer& value) noexcept {
  auto got = std::from_chars(text.data(), text.data() + text.size(), value);
  if (got.ec != std::errc{} || got.ptr == text.data() + text.size() || *got.ptr != '.')
    return false;
  text.remove_prefix(static_cast<std::size_t>(got.ptr - text.data()) + 1);
  return true;
}

bool take_id(std::string_view& text, hedwig_msg_id& id) noexcept {
  auto found = text.size() > 27 && text[26] == '.' ? parse_id(text.substr(0, 26)) : std::nullopt;
  if (!found)
    return false;
  id = *found;
  text.remove_prefix(27);
  return true;
}

bool is_state(std::uint32_t state) noexcept { return state > 0 && state < HEDWIG_STATE_COUNT; }

} // namespace

std::string id_text(const hedwig_msg_id& id) {
  std::string out;
  unsigned pending = 0;
  int bits = 2; // two zero bits before the 128, so that 130 divide into groups of five
  for (auto byte : id.bytes) {
    pending = (pending << 8) | byte;
    for (bits += 8; bits >= 5;) {
      bits -= 5;
      out += alphabet[(pending >> bits) & 31];
    }
    pending &= 31;
  }
  return out;
}

std::optional<hedwig_msg_id> parse_id(std::string_view text) noexcept {
  if (text.size() != 26 || value_of(text[0]) > 7)
    return std::nullopt;
  hedwig_msg_id id;
  unsigned pending = 0;
  int bits = -2;
  std::size_t at = 0;
  for (char c : text) {
    auto value = value_of(c);
    if (value < 0)
      return std::nullopt;
    pending = (pending << 5) | static_cast<unsigned>(value);
    if ((bits += 5) >= 8) {
      bits -= 8;
      id.bytes[at++] = static_cast<std::uint8_t>(pending >> bits);
      pending &= (1u << bits) - 1;
    }
  }
  return id;
}

std::string_view folder_of(std::uint32_t state) noexcept {
  static constexpr std::array<std::string_view, HEDWIG_STATE_COUNT> names{"",     "queued",  "deferred",
                                                                          "held", "bounced", "quarantined"};
  return names[is_state(state) ? state : 0];
}

std::string shard_of(const hedwig_msg_id& id) {
  std::uint64_t time = 0;
  for (int i = 0; i < 8; ++i)
    time = (time << 8) | id.bytes[i];
  char text[3];
  std::snprintf(text, sizeof text, "%02x", static_cast<unsigned>(time >> 36) % shard_count); // steps of 69 seconds
  return text;
}

std::string encode(const file_header& header) {
  char text[header_size];
  auto size = std::snprintf(text, sizeof text,
                            "%s id=%s state=%" PRIu32 " revision=%" PRIu64 " due=%" PRId64 " body=%" PRIu64
                            " metadata=%" PRIu64 " body_sum=%08" PRIx32 " metadata_sum=%08" PRIx32 " ",
                            mark.data(), id_text(header.id).c_str(), header.state, header.revision, header.due,
                            header.body_size, header.metadata_size, header.body_sum, header.metadata_sum);
  std::string out{text, static_cast<std::size_t>(size)};
  out.resize(sum_at, ' ');
  return out + hex(sdk::crc32c(out)) + "\n";
}

std::optional<file_header> decode(std::string_view text) noexcept {
  if (text.size() != header_size || !text.starts_with(mark))
    return std::nullopt;
  std::uint32_t sum = 0;
  auto got = std::from_chars(text.data() + sum_at, text.data() + sum_at + 8, sum, 16);
  if (got.ptr != text.data() + sum_at + 8 || sum != sdk::crc32c(text.substr(0, sum_at)))
    return std::nullopt;
  text.remove_prefix(mark.size());
  file_header header;
  if (!text.starts_with(" id="))
    return std::nullopt;
  auto id = parse_id(text.substr(4, 26));
  text.remove_prefix(31);
  bool sound = id && take(text, "state=", header.state) && take(text, "revision=", header.revision) &&
               take(text, "due=", header.due) && take(text, "body=", header.body_size) &&
               take(text, "metadata=", header.metadata_size) && take(text, "body_sum=", header.body_sum, 16) &&
               take(text, "metadata_sum=", header.metadata_sum, 16) && is_state(header.state) &&
               header.metadata_size <= HEDWIG_METADATA_MAX;
  if (!sound)
    return std::nullopt;
  header.id = *id;
  return header;
}

void body_sums::add(std::string_view text) {
  size_ += text.size();
  while (!text.empty()) {
    if (in_chunk_ == chunk_size) {
      done_.push_back(running_);
      running_ = 0;
      in_chunk_ = 0;
    }
    auto some = text.substr(0, chunk_size - in_chunk_);
    running_ = sdk::crc32c(some, running_);
    in_chunk_ += some.size();
    text.remove_prefix(some.size());
  }
}

std::uint32_t body_sums::finish(std::string& list) {
  list.clear();
  if (done_.empty())
    return running_;
  for (auto sum : done_)
    list += hex(sum);
  list += hex(running_);
  return sdk::crc32c(list);
}

std::string make_name(const message_name& name) {
  return id_text(name.id) + "." + std::to_string(name.state) + "." + std::to_string(name.due) + "." +
         std::to_string(name.body_size) + ".msg";
}

std::optional<message_name> parse_message_name(std::string_view text) noexcept {
  message_name name;
  if (!take_id(text, name.id) || !take_part(text, name.state) || !take_part(text, name.due) ||
      !take_part(text, name.body_size) || text != "msg" || !is_state(name.state))
    return std::nullopt;
  return name;
}

std::string make_name(const meta_name& name) {
  return id_text(name.id) + "." + std::to_string(name.revision) + "." + std::to_string(name.state) + "." +
         std::to_string(name.due) + ".meta";
}

std::optional<meta_name> parse_meta_name(std::string_view text) noexcept {
  meta_name name;
  if (!take_id(text, name.id) || !take_part(text, name.revision) || !take_part(text, name.state) ||
      !take_part(text, name.due) || text != "meta" || !is_state(name.state))
    return std::nullopt;
  return name;
}

} // namespace hedwig::storage_fs
