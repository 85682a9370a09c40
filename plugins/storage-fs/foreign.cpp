// SPDX-License-Identifier: Apache-2.0
// Messages of a Hedwig 0.10 spool, read as they are: ID.json, whose first line is the mark and JSON and whose rest is
// the body, and for deferred ones ID.meta.json with the time of the next attempt.
#include "plugins/storage-fs/store.hpp"

#include <cctype>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <ctime>

#include <fcntl.h>
#include <sys/stat.h>

namespace hedwig::storage_fs {

namespace {

constexpr std::string_view mark = "HEDWIG1 ";
constexpr hedwig_time_ns second = 1'000'000'000;
constexpr std::size_t note_max = 60 * 1024;

/// What stands behind `"key":`, or nothing. Enough for a file whose keys are known; the host parses it properly.
std::string_view value_after(std::string_view json, std::string_view key) noexcept {
  auto quoted = "\"" + std::string{key} + "\"";
  auto at = json.find(quoted);
  if (at == std::string_view::npos)
    return {};
  json.remove_prefix(at + quoted.size());
  auto start = json.find_first_not_of(" \t\r\n:");
  return start == std::string_view::npos ? std::string_view{} : json.substr(start);
}

std::int64_t leading_number(std::string_view text) noexcept {
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

/// 2025-01-31T12:00:00Z or with an offset +hh:mm (RFC 3339 section 5.6).
hedwig_time_ns parse_timestamp(std::string_view text) noexcept {
  std::string copy{text.substr(0, 64)};
  std::tm time{};
  char sign = 'Z';
  int hours = 0, minutes = 0;
  if (std::sscanf(copy.c_str(), "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%2d", &time.tm_year, &time.tm_mon, &time.tm_mday,
                  &time.tm_hour, &time.tm_min, &time.tm_sec) != 6)
    return 0;
  auto zone = copy.find_first_of("Zz+", 19);
  if (zone == std::string::npos)
    zone = copy.find('-', 19);
  if (zone != std::string::npos)
    std::sscanf(copy.c_str() + zone, "%c%2d:%2d", &sign, &hours, &minutes);
  time.tm_year -= 1900;
  time.tm_mon -= 1;
  auto offset = (hours * 3600 + minutes * 60) * (sign == '-' ? -1 : 1);
  return (static_cast<hedwig_time_ns>(::timegm(&time)) - offset) * second;
}

/// A number of seconds, {"secs_since_epoch": n, ...} or a timestamp in quotes; 0 when it is none of them.
hedwig_time_ns due_in(std::string_view note) noexcept {
  auto value = value_after(note, "next_attempt");
  if (value.empty())
    return 0;
  if (value[0] == '{')
    return leading_number(value_after(value, "secs_since_epoch")) * second;
  if (value[0] == '"')
    return parse_timestamp(value.substr(1));
  return leading_number(value) * second;
}

} // namespace

std::string fs_store::foreign_note_of(const hedwig_msg_id& id, const record& what) {
  return std::string{folder_of(what.folder)} + "/" + id_text(id) + ".meta.json";
}

bool fs_store::recognise_foreign(const std::string& folder, const std::string& name, record& what, hedwig_msg_id& id) {
  auto parsed = parse_id(std::string_view{name}.substr(0, name.size() - 5));
  if (!parsed)
    return false;
  id = *parsed;
  auto path = folder + "/" + name;
  auto file = open_to_read(path);
  struct stat size {};
  if (!file || ::fstat(file.get(), &size) != 0)
    return false;
  auto front = read_text(file.get(), foreign_header_max, 0, path);
  auto line = front.find('\n');
  if (!front.starts_with(mark) || line == std::string::npos) {
    the_host().log(HEDWIG_LOG_WARN, "a file in the spool is not understood and left alone", {{"file", path}});
    return false;
  }
  what.foreign = true;
  what.body_offset = static_cast<std::uint32_t>(line + 1);
  what.body_size = static_cast<std::uint64_t>(size.st_size) - what.body_offset;
  auto folder_state = HEDWIG_STATE_QUEUED;
  for (std::uint32_t state = 1; state < HEDWIG_STATE_COUNT; ++state)
    if (folder_of(state) == folder)
      folder_state = static_cast<int>(state);
  what.state = what.put_state = what.folder = static_cast<std::uint8_t>(folder_state);
  auto note_path = foreign_note_of(id, what);
  if (auto note = open_to_read(note_path))
    what.due = due_in(read_text(note.get(), note_max, 0, note_path));
  return true;
}

std::string fs_store::load_foreign_metadata(const hedwig_msg_id& id, const record& what) {
  auto path = path_of(id, what);
  auto file = open_to_read(path);
  if (!file)
    throw sdk::failure{HEDWIG_E_NOT_FOUND, "no such message"};
  auto metadata = read_text(file.get(), what.body_offset - 1, 0, path);
  auto note_path = foreign_note_of(id, what);
  if (auto note = open_to_read(note_path))
    metadata += "\n" + read_text(note.get(), note_max, 0, note_path);
  return metadata;
}

} // namespace hedwig::storage_fs
