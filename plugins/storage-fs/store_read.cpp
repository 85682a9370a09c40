// SPDX-License-Identifier: Apache-2.0
// READ, STAT, LIST, CLAIM and STATS: on reader threads, while commits go on.
#include "plugins/storage-fs/store.hpp"

#include <hedwig/storage_crc.hpp>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include <fcntl.h>

namespace hedwig::storage_fs {

std::string fs_store::path_of(const hedwig_msg_id& id, const record& what, std::uint32_t folder) {
  std::string path{folder_of(folder)};
  if (what.foreign)
    return path + "/" + id_text(id) + ".json";
  return path + "/" + shard_of(id) + "/" + make_name(message_name{id, what.put_state, what.put_due, what.body_size});
}

std::string fs_store::meta_path_of(const hedwig_msg_id& id, const record& what) {
  return "meta/" + shard_of(id) + "/" + make_name(meta_name{id, what.revision, what.state, what.due});
}

unique_fd fs_store::open_to_read(const std::string& path) const {
  unique_fd file{::openat(base_.get(), path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)};
  if (!file && errno != ENOENT)
    throw_errno("opening", path);
  return file;
}

void fs_store::damaged(const hedwig_msg_id& id, const std::string& why) {
  if (!index_.find(id)) // removed while we read, and its file written over
    throw sdk::failure{HEDWIG_E_NOT_FOUND, "no such message"};
  ++damaged_count_;
  the_host().log(HEDWIG_LOG_ERROR, "a stored message is damaged", {{"id", id_text(id)}, {"why", why}});
  throw sdk::failure{HEDWIG_E_CORRUPT, why};
}

file_header fs_store::read_header(const hedwig_msg_id& id, int fd, const std::string& path) {
  auto header = decode(read_text(fd, header_size, 0, path));
  if (!header)
    damaged(id, path + " has no sound header");
  if (id_text(header->id) != id_text(id))
    damaged(id, path + " holds another message");
  return *header;
}

std::string fs_store::load_metadata(const hedwig_msg_id& id, const record& what) {
  if (what.foreign && !what.moved)
    return load_foreign_metadata(id, what);
  auto path = what.moved ? meta_path_of(id, what) : path_of(id, what);
  auto file = open_to_read(path);
  if (!file)
    throw sdk::failure{HEDWIG_E_NOT_FOUND, "no such message"};
  auto header = read_header(id, file.get(), path);
  if (header.revision != what.revision || header.state != what.state || header.due != what.due ||
      header.body_size != what.body_size)
    damaged(id, path + " has a header that does not fit its name");
  auto offset = header_size + (what.moved ? 0 : header.body_size);
  auto metadata = read_text(file.get(), header.metadata_size, offset, path);
  if (metadata.size() != header.metadata_size || sdk::crc32c(metadata) != header.metadata_sum)
    damaged(id, path + " has metadata that failed its checksum");
  return metadata;
}

sdk::stored_entry fs_store::make_entry(const hedwig_msg_id& id, const record& what, std::string metadata) {
  bool foreign = what.foreign && (!what.moved || metadata.starts_with("HEDWIG1 "));
  return {id,       what.state,         foreign ? HEDWIG_ENTRY_FOREIGN : 0, {}, what.revision, what.body_size,
          what.due, std::move(metadata)};
}

sdk::stored_entry fs_store::stat(const hedwig_message_request& request) {
  auto what = index_.find(request.id);
  if (!what)
    throw sdk::failure{HEDWIG_E_NOT_FOUND, "no such message"};
  return make_entry(request.id, *what, load_metadata(request.id, *what));
}

hedwig_slice fs_store::read_plain(int fd, const std::string& path, std::uint64_t offset, std::uint64_t length) {
  auto* host = the_host().raw();
  std::uint8_t* data = nullptr;
  auto* raw = host->buf_alloc(host, length, &data);
  if (raw == nullptr)
    throw sdk::failure{HEDWIG_E_BUSY, "the host's buffer memory is spent"};
  try {
    auto got = read_at(fd, data, length, offset, path);
    return {raw, data, got};
  } catch (...) {
    host->buf_release(host, raw);
    throw;
  }
}

hedwig_slice fs_store::read_chunk(int fd, const std::string& path, const file_header& header, const std::string& sums,
                                  const hedwig_msg_id& id, std::uint64_t chunk, std::uint64_t within,
                                  std::uint64_t length) {
  auto size = std::min<std::uint64_t>(chunk_size, header.body_size - chunk * chunk_size);
  auto whole = read_plain(fd, path, header_size + chunk * chunk_size, size);
  auto expected = header.body_sum;
  if (!sums.empty())
    std::from_chars(sums.data() + chunk * 8, sums.data() + chunk * 8 + 8, expected, 16);
  if (whole.size != size || sdk::crc32c(sdk::view(whole)) != expected) {
    the_host().raw()->buf_release(the_host().raw(), whole.buf);
    damaged(id, path + " has a body that failed its checksum");
  }
  return {whole.buf, whole.data + within, std::min(length, size - within)};
}

sdk::read_slices fs_store::read(const hedwig_message_request& request) {
  auto what = index_.find(request.id);
  if (!what)
    throw sdk::failure{HEDWIG_E_NOT_FOUND, "no such message"};
  auto path = path_of(request.id, *what);
  auto file = open_to_read(path);
  if (!file)
    damaged(request.id, path + " is not there");
  if (what->foreign)
    return read_foreign(request, *what, file.get(), path);
  sdk::read_slices got{the_host()};
  got.body_size = what->body_size;
  auto wanted = request.length == 0 ? read_max : std::min(request.length, read_max);
  if (request.offset >= what->body_size)
    return got;
  auto header = read_header(request.id, file.get(), path);
  if (header.body_size != what->body_size)
    damaged(request.id, path + " has a header that does not fit its name");
  auto sums = read_text(file.get(), sum_list_size(header.body_size),
                        header_size + header.body_size + header.metadata_size, path);
  if (sums.size() != sum_list_size(header.body_size) || (!sums.empty() && sdk::crc32c(sums) != header.body_sum))
    damaged(request.id, path + " has a list of sums that failed its checksum");
  for (auto offset = request.offset; offset < got.body_size && wanted > 0;) {
    auto slice =
        read_chunk(file.get(), path, header, sums, request.id, offset / chunk_size, offset % chunk_size, wanted);
    got.add(slice);
    offset += slice.size;
    wanted -= slice.size;
  }
  return got;
}

std::string fs_store::salvage_metadata(const hedwig_msg_id& id, const record& what) const {
  constexpr std::size_t saved_max = HEDWIG_METADATA_MAX - 4096;
  try {
    auto path = what.moved ? meta_path_of(id, what) : path_of(id, what);
    auto file = open_to_read(path);
    auto offset = what.foreign && !what.moved ? 0 : header_size + (what.moved ? 0 : what.body_size);
    return file ? read_text(file.get(), saved_max, offset, path) : std::string{};
  } catch (const sdk::failure&) {
    return {};
  }
}

sdk::stored_entry fs_store::make_damaged(const hedwig_msg_id& id, const record& what, const std::string& why) {
  auto entry = make_entry(id, what, sdk::damaged_metadata(why, salvage_metadata(id, what)));
  entry.flags = HEDWIG_ENTRY_DAMAGED;
  return entry;
}

bool fs_store::load_listed(sdk::stored_entry& entry, indexed& one, const hedwig_list_request& request,
                           const claim_times* claim) {
  for (int attempt = 0; attempt < 3; ++attempt) {
    std::string why;
    try {
      bool with_metadata = (request.flags & HEDWIG_LIST_METADATA) != 0;
      entry = make_entry(one.id, one.what, with_metadata ? load_metadata(one.id, one.what) : std::string{});
      // A CLAIM gives what is there now.
      return claim == nullptr || index_.find(one.id) == one.what;
    } catch (const sdk::failure& e) {
      if (e.status() != HEDWIG_E_NOT_FOUND && e.status() != HEDWIG_E_CORRUPT)
        throw;
      why = e.status() == HEDWIG_E_NOT_FOUND ? "its file is not there" : e.what();
    }
    auto now = index_.find(one.id); // a MOVE or REMOVE came between: once more with what it left
    if (!now)
      return false;
    if (*now == one.what) {
      entry = make_damaged(one.id, one.what, why);
      return (request.flags & HEDWIG_LIST_DAMAGED) != 0;
    }
    if (claim != nullptr)
      return false;
    one.what = *now;
  }
  return false;
}

sdk::entry_page fs_store::list(const hedwig_list_request& request, const claim_times* claim) {
  bool by_receipt = claim == nullptr && (request.flags & HEDWIG_LIST_BY_RECEIPT) != 0;
  bool with_metadata = (request.flags & HEDWIG_LIST_METADATA) != 0;
  std::string cursor{sdk::view(request.cursor)};
  if (!cursor.empty() &&
      cursor.size() != (by_receipt ? message_index::receipt_cursor_size : message_index::due_cursor_size))
    throw sdk::failure{HEDWIG_E_INVALID, "not a cursor of this list"};
  auto limit = std::min<std::size_t>(request.limit, page_entries_max);
  sdk::entry_page page;
  std::size_t bytes = 0, walked = 0;
  // A CLAIM steps over what is claimed, a few thousand at a time.
  while (page.entries.size() < limit && bytes < page_bytes_max && walked < message_index::walk_max) {
    auto wanted =
        claim != nullptr ? std::max<std::size_t>(limit - page.entries.size(), 1) : limit - page.entries.size();
    wanted = std::min<std::size_t>(wanted, with_metadata ? 64 : 1024); // so that the byte bound holds
    auto found = by_receipt ? index_.by_receipt(request.states, request.due_before, wanted, cursor)
                            : index_.by_due(request.states, request.due_before, wanted, cursor);
    walked += found.size() + 1;
    for (auto& one : found) {
      if (claim != nullptr && !leases().try_claim(one.id, claim->now, claim->until))
        continue;
      sdk::stored_entry entry;
      if (load_listed(entry, one, request, claim)) {
        bytes += entry.metadata.size();
        page.entries.push_back(std::move(entry));
      } else if (claim != nullptr) {
        leases().release(one.id, claim->until);
      }
    }
    if (cursor.empty())
      break;
  }
  page.cursor = cursor;
  return page;
}

sdk::state_stats fs_store::stats() {
  sdk::state_stats result;
  auto states = index_.stats();
  std::copy(states.begin(), states.end(), result.states);
  result.disk_free = disk_free_;
  result.damaged = damaged_count_;
  return result;
}

} // namespace hedwig::storage_fs
