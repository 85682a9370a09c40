// SPDX-License-Identifier: Apache-2.0
// Opening, finding the messages by their names, and what the store says about its disk.
#include "plugins/storage-fs/store.hpp"

#include "free_space.hpp"

#include <hedwig/storage_folder.hpp>

#include <cerrno>
#include <cstring>
#include <functional>

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

namespace hedwig::storage_fs {

namespace {

constexpr hedwig_duration_ns check_interval = 100'000'000;

void make_folder(int base, const std::string& folder) {
  if (::mkdirat(base, folder.c_str(), 0700) != 0 && errno != EEXIST)
    throw_errno("making", folder);
}

void each_name(int base, const std::string& folder, const std::function<void(const std::string&)>& see) {
  int fd = ::openat(base, folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT)
    return; // a shard is made when it is needed
  auto* open = fd >= 0 ? ::fdopendir(fd) : nullptr;
  if (open == nullptr)
    throw_errno("opening", folder);
  std::unique_ptr<DIR, int (*)(DIR*)> closing{open, ::closedir};
  for (;;) {
    errno = 0; // what tells the end from a failure
    auto* one = ::readdir(open);
    if (one == nullptr)
      break;
    if (one->d_name[0] != '.')
      see(one->d_name);
  }
  if (errno != 0)
    throw_errno("reading", folder);
}

std::string shard_name(unsigned shard) {
  char text[3];
  std::snprintf(text, sizeof text, "%02x", shard);
  return text;
}

} // namespace

fs_store::fs_store(const sdk::host& h, const sdk::config& c) : store{h} {
  settings_.path = c.string("path");
  settings_.sync = c.string("sync");
  settings_.free_files = static_cast<std::size_t>(c.integer("free_files"));
  settings_.disk_reserve = static_cast<std::uint64_t>(c.integer("disk_reserve"));
  settings_.in_flight_bytes = static_cast<std::uint64_t>(c.integer("in_flight_bytes"));
  settings_.read_only = c.boolean("read_only");
}

fs_store::~fs_store() { close(); }

hedwig_storage_limits fs_store::limits() const {
  return {sizeof(hedwig_storage_limits), 0, 16384, 256, settings_.in_flight_bytes, 0}; // 256: each holds a descriptor
}

void fs_store::open() {
  if (!settings_.read_only)
    sdk::make_durable_folder(settings_.path);
  base_ = unique_fd{::open(settings_.path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!base_)
    throw_errno("opening", settings_.path);
  lock_spool();
  check_format();
  broken_ = failing_ = false;
  if (!settings_.read_only) {
    ::fchmod(base_.get(), 0700);
    make_folders();
    choose_sync();
    pool_.open(base_.get(), settings_.free_files);
  }
  scan();
  watch(settings_.path);
  watch(settings_.path + "/.lock");
  check_space();
}

void fs_store::close() noexcept {
  syncer_.stop();
  stages_.clear();
  folders_.clear();
  unsynced_folders_.clear();
  second_names_.clear();
  index_.clear();
  base_ = unique_fd{};
  lock_ = unique_fd{}; // and with it the lock
}

void fs_store::lock_spool() {
  auto how = settings_.read_only ? O_RDONLY : O_RDWR | O_CREAT;
  lock_ = unique_fd{::openat(base_.get(), ".lock", how | O_CLOEXEC, 0600)};
  if (!lock_ && settings_.read_only && errno == ENOENT)
    return; // no instance of ours ever ran here
  if (!lock_)
    throw_errno("opening", settings_.path + "/.lock");
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0)
    throw sdk::failure{HEDWIG_E_UNAVAILABLE, "another instance uses this spool (" + settings_.path + ")",
                       settings_.path};
}

/// Written aside and renamed: half of it would be a format that nobody reads.
void fs_store::write_format() {
  unique_fd file{::openat(base_.get(), "format.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
  if (!file)
    throw_errno("making", "format.new");
  write_at(file.get(), {{const_cast<char*>(format_text.data()), format_text.size()}}, 0, "format.new");
  sync_file(file.get(), "format.new");
  if (::renameat(base_.get(), "format.new", base_.get(), "format") != 0)
    throw_errno("renaming", "format.new");
  sync_file(base_.get(), settings_.path);
}

void fs_store::check_format() {
  unique_fd file{::openat(base_.get(), "format", O_RDONLY | O_CLOEXEC)};
  if (!file && settings_.read_only && errno == ENOENT && is_spool_of_0_10())
    return;
  if (!file && (errno != ENOENT || settings_.read_only))
    throw_errno("opening", settings_.path + "/format");
  auto found = file ? read_text(file.get(), 64, 0, "format") : std::string{};
  if (found.empty() && !settings_.read_only) {
    write_format();
  } else if (found != format_text) {
    throw sdk::failure{HEDWIG_E_UNSUPPORTED, "the spool has a format this plugin does not read: " + found,
                       settings_.path};
  }
}

void fs_store::make_folders() {
  for (auto* folder : {"free", "meta"})
    make_folder(base_.get(), folder);
  for (std::uint32_t state = 1; state < HEDWIG_STATE_COUNT; ++state)
    make_folder(base_.get(), std::string{folder_of(state)});
  sync_file(base_.get(), settings_.path);
}

void fs_store::choose_sync() {
  struct stat here {};
  struct stat root {};
  bool own = ::fstat(base_.get(), &here) == 0 && ::stat("/", &root) == 0 && here.st_dev != root.st_dev;
  whole_file_system_ = settings_.sync == "syncfs" || (settings_.sync == "auto" && own);
  if (!whole_file_system_)
    syncer_.start();
}

/// What a crash left in the way; with read_only it is only overlooked.
void fs_store::drop_name(const std::string& path) noexcept {
  if (!settings_.read_only)
    ::unlinkat(base_.get(), path.c_str(), 0);
}

void fs_store::drop_second_name(const hedwig_msg_id& id, const std::string& path) {
  if (settings_.read_only)
    return;
  if (::unlinkat(base_.get(), path.c_str(), 0) != 0 && errno != ENOENT)
    second_names_[id].insert(path);
  unsynced_folders_.insert(path.substr(0, path.rfind('/')));
}

void fs_store::scan() {
  index_.clear();
  for (std::uint32_t state = 1; state < HEDWIG_STATE_COUNT; ++state) {
    std::string folder{folder_of(state)};
    scan_messages(state, folder);
    for (unsigned shard = 0; shard < shard_count; ++shard)
      scan_messages(state, folder + "/" + shard_name(shard));
  }
  for (unsigned shard = 0; shard < shard_count; ++shard)
    scan_meta("meta/" + shard_name(shard));
}

void fs_store::scan_messages(std::uint32_t state, const std::string& folder) {
  each_name(base_.get(), folder, [&](const std::string& name) {
    record what;
    hedwig_msg_id id;
    if (auto parsed = parse_message_name(name)) {
      id = parsed->id;
      what.body_size = parsed->body_size;
      what.due = what.put_due = parsed->due;
      what.state = what.put_state = static_cast<std::uint8_t>(parsed->state);
    } else if (!name.ends_with(".json") || name.ends_with(".meta.json") ||
               !recognise_foreign(state, folder, name, what, id)) {
      return; // not ours to touch
    }
    what.folder = static_cast<std::uint8_t>(state);
    auto known = index_.find(id);
    if (known && known->folder != state && what.foreign && known->foreign && !is_same_file(id, *known, what)) {
      what = better_of(id, *known, what);
    } else if (known && known->folder != state) {
      // Two names of one file: a crash came between the link and the unlink of a move.
      drop_second_name(id, path_of(id, *known));
    }
    index_.put(id, what);
  });
}

void fs_store::scan_meta(const std::string& folder) {
  each_name(base_.get(), folder, [&](const std::string& name) {
    auto parsed = parse_meta_name(name);
    if (!parsed)
      return;
    auto what = index_.find(parsed->id);
    if (!what || (what->moved && what->revision >= parsed->revision)) {
      drop_name(folder + "/" + name); // of nobody, or outdated
      return;
    }
    if (what->moved)
      drop_name(meta_path_of(parsed->id, *what));
    what->moved = true;
    what->revision = parsed->revision;
    what->state = static_cast<std::uint8_t>(parsed->state);
    what->due = parsed->due;
    index_.put(parsed->id, *what);
  });
}

/// Does to a file of its own what a message needs: after a failure it is that which shows whether the disk is well.
bool fs_store::works_again() noexcept {
  try {
    auto file = pool_.take();
    auto name = pool_.next_name();
    std::string block(4096, ' ');
    write_at(file.fd.get(), {{block.data(), block.size()}}, 0, file.name);
    sync_file(file.fd.get(), file.name);
    return ::renameat(base_.get(), file.name.c_str(), base_.get(), name.c_str()) == 0 &&
           ::unlinkat(base_.get(), name.c_str(), 0) == 0;
  } catch (...) {
    return false;
  }
}

void fs_store::check_space() {
  struct statvfs now {};
  if (::fstatvfs(base_.get(), &now) != 0)
    return;
  auto free = static_cast<std::uint64_t>(now.f_bavail) * now.f_frsize;
  disk_free_ = free;
  if (settings_.read_only)
    return;
  // A little more than the reserve, and than one large group, must be free before mail is taken again.
  auto wanted = health() == HEDWIG_OK ? settings_.disk_reserve : settings_.disk_reserve + settings_.disk_reserve / 16;
  if (health() == HEDWIG_E_NO_SPACE)
    wanted = std::max<std::uint64_t>(wanted, 1024 * 1024);
  no_space_ = free < wanted;
  if (broken_ || (failing_ && !works_again()))
    return;
  failing_ = false;
  if (no_space_)
    set_health(HEDWIG_E_NO_SPACE, stores::too_little_free(free, settings_.disk_reserve));
  else
    set_health(HEDWIG_OK, "enough space");
}

void fs_store::tick(hedwig_time_ns steady) {
  if (steady < next_check_ && (health() == HEDWIG_OK || write_failed_))
    return;
  write_failed_ = false;
  next_check_ = steady + check_interval;
  check_space();
}

} // namespace hedwig::storage_fs
