// SPDX-License-Identifier: Apache-2.0
// Messages of a Hedwig 0.10 spool, read as they are: ID.json, whose first line is the mark and JSON and whose rest is
// the body, or, older, one JSON object with the body inside; and for deferred ones ID.meta.json with the time of the
// next attempt.
#include "plugins/storage-fs/json_object.hpp"
#include "plugins/storage-fs/store.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <ctime>

#include <fcntl.h>
#include <sys/stat.h>

namespace hedwig::storage_fs {

namespace {

constexpr std::string_view hedwig_0_10_mark = "HEDWIG1 ";
constexpr hedwig_time_ns second = 1'000'000'000;
constexpr hedwig_time_ns millisecond = 1'000'000;
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

bool fs_store::is_spool_of_0_10() const {
  struct stat there {};
  return ::fstatat(base_.get(), "queued", &there, 0) == 0 || ::fstatat(base_.get(), "deferred", &there, 0) == 0;
}

/// It stands in deferred/ wherever the message itself is: 0.10 may have taken that back to queued/.
std::string fs_store::foreign_note_of(const hedwig_msg_id& id) { return "deferred/" + id_text(id) + ".meta.json"; }

/// Empty when there is none, or none that can be read: the message itself may be well all the same.
std::string fs_store::load_foreign_note(const hedwig_msg_id& id) const {
  auto path = foreign_note_of(id);
  auto file = open_to_read(path);
  if (!file)
    return {};
  auto note = read_text(file.get(), note_max, 0, path);
  if (json_object::parse(note))
    return note;
  the_host().log(HEDWIG_LOG_WARN, "what Hedwig 0.10 noted about a deferred message cannot be read",
                 {{"file", path}, {"taken_as", "not tried yet"}});
  return {};
}

/// When it is to be tried; of a bounced one when it bounced.
hedwig_time_ns fs_store::foreign_due(const hedwig_msg_id& id, const record& what, hedwig_time_ns modified) const {
  if (what.state == HEDWIG_STATE_BOUNCED)
    return modified;
  if (what.state == HEDWIG_STATE_DEFERRED)
    if (auto due = due_in(load_foreign_note(id)); due > 0)
      return due;
  hedwig_time_ns milliseconds = 0; // of its receipt: an id of 0.10 is a ULID
  for (int i = 0; i < 6; ++i)
    milliseconds = milliseconds << 8 | id.bytes[i];
  return milliseconds > modified / millisecond ? modified : milliseconds * millisecond;
}

void fs_store::recognise_form(int fd, const std::string& path, std::uint64_t size, record& what) {
  auto front = read_text(fd, foreign_header_max, 0, path);
  auto line = front.find('\n');
  if (front.starts_with(hedwig_0_10_mark) && line != std::string::npos &&
      json_object::parse(std::string_view{front}.substr(hedwig_0_10_mark.size(), line - hedwig_0_10_mark.size()))) {
    what.body_offset = static_cast<std::uint32_t>(line + 1);
    what.body_size = size - what.body_offset;
    return;
  }
  if (front.starts_with('{') && size <= foreign_packed_max) {
    auto text = size > front.size() ? read_text(fd, size, 0, path) : std::move(front);
    auto object = json_object::parse(text);
    auto body = object ? object->bytes_of("body") : std::nullopt;
    if (body) {
      what.packed = true;
      what.body_size = body->size();
      return;
    }
  }
  what.unreadable = true;
}

bool fs_store::is_same_file(const hedwig_msg_id& id, const record& one, const record& other) const {
  struct stat first {};
  struct stat second {};
  return ::fstatat(base_.get(), path_of(id, one).c_str(), &first, AT_SYMLINK_NOFOLLOW) == 0 &&
         ::fstatat(base_.get(), path_of(id, other).c_str(), &second, AT_SYMLINK_NOFOLLOW) == 0 &&
         first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

/// Two files of one message, as 0.10 leaves them when it ends between writing it to one folder and taking it out of the
/// other: either may be torn. Where both are whole, the one that waits for delivery. The other goes with the message.
record fs_store::better_of(const hedwig_msg_id& id, const record& first, const record& second) {
  auto worth = [](const record& one) { return std::pair{!one.unreadable, one.body_size}; };
  auto& kept = worth(second) > worth(first) ? second : first;
  auto& other = &kept == &first ? second : first;
  the_host().log(HEDWIG_LOG_WARN, "a message of Hedwig 0.10 stands in two folders",
                 {{"taken", path_of(id, kept)}, {"left_until_it_is_removed", path_of(id, other)}});
  second_names_[id].insert(path_of(id, other));
  return kept;
}

bool fs_store::recognise_foreign(std::uint32_t state, const std::string& folder, const std::string& name, record& what,
                                 hedwig_msg_id& id) {
  auto parsed = parse_id(std::string_view{name}.substr(0, name.size() - 5));
  if (parsed && !name.starts_with(id_text(*parsed)))
    parsed.reset(); // an id is written in one way only, and under that name the file would be looked for
  auto path = folder + "/" + name;
  auto file = parsed ? open_to_read(path) : unique_fd{};
  struct stat facts {};
  if (!file || ::fstat(file.get(), &facts) != 0 || !S_ISREG(facts.st_mode)) {
    the_host().log(HEDWIG_LOG_WARN, "a file in the spool is not understood and left alone", {{"file", path}});
    return false;
  }
  id = *parsed;
  what.foreign = true;
  what.state = what.put_state = what.folder = static_cast<std::uint8_t>(state);
  recognise_form(file.get(), path, static_cast<std::uint64_t>(facts.st_size), what);
  what.due = foreign_due(id, what, facts.st_mtim.tv_sec * second + facts.st_mtim.tv_nsec);
  return true;
}

std::string fs_store::load_packed(const hedwig_msg_id& id, int fd, const std::string& path) {
  auto text = read_text(fd, foreign_packed_max, 0, path);
  auto object = json_object::parse(text);
  if (!object)
    damaged(id, path + " is no JSON object");
  return std::string{hedwig_0_10_mark} + object->without("body");
}

std::string fs_store::load_foreign_metadata(const hedwig_msg_id& id, const record& what) {
  auto path = path_of(id, what);
  auto file = open_to_read(path);
  if (!file)
    throw sdk::failure{HEDWIG_E_NOT_FOUND, "no such message"};
  if (what.unreadable)
    damaged(id, path + " is neither form of a message of Hedwig 0.10");
  auto metadata =
      what.packed ? load_packed(id, file.get(), path) : read_text(file.get(), what.body_offset - 1, 0, path);
  if (metadata.size() > foreign_header_max)
    damaged(id, path + " has more metadata than a message may have");
  if (auto note = load_foreign_note(id); !note.empty())
    metadata += "\n" + note;
  return metadata;
}

sdk::read_slices fs_store::read_foreign(const hedwig_message_request& request, const record& what, int fd,
                                        const std::string& path) {
  sdk::read_slices got{the_host()};
  got.body_size = what.body_size;
  if (what.unreadable)
    damaged(request.id, path + " is neither form of a message of Hedwig 0.10");
  if (request.offset >= what.body_size)
    return got;
  auto wanted = request.length == 0 ? read_max : std::min(request.length, read_max);
  auto some = std::min(wanted, what.body_size - request.offset);
  if (!what.packed) {
    auto slice = read_plain(fd, path, what.body_offset + request.offset, some);
    got.add(slice);
    if (slice.size != some)
      damaged(request.id, path + " became shorter");
    return got;
  }
  auto text = read_text(fd, foreign_packed_max, 0, path);
  auto object = json_object::parse(text);
  auto body = object ? object->bytes_of("body") : std::nullopt;
  if (!body || body->size() != what.body_size)
    damaged(request.id, path + " has changed");
  some = request.length == 0 ? body->size() - request.offset : std::min(request.length, body->size() - request.offset);
  got.add(copied(std::string_view{*body}.substr(request.offset, some)));
  return got;
}

hedwig_slice fs_store::copied(std::string_view text) {
  auto* host = the_host().raw();
  std::uint8_t* data = nullptr;
  auto* raw = host->buf_alloc(host, text.size(), &data);
  if (raw == nullptr)
    throw sdk::failure{HEDWIG_E_BUSY, "the host's buffer memory is spent"};
  std::memcpy(data, text.data(), text.size());
  return {raw, data, text.size()};
}

} // namespace hedwig::storage_fs
