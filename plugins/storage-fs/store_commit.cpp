// SPDX-License-Identifier: Apache-2.0
// One group, in the four steps that store.hpp describes.
#include "plugins/storage-fs/store.hpp"

#include <hedwig/storage_crc.hpp>

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>

namespace hedwig::storage_fs {

namespace {

iovec part(std::string_view text) noexcept { return {const_cast<char*>(text.data()), text.size()}; }
std::string folder_part(const std::string& path) { return path.substr(0, path.rfind('/')); }

constexpr hedwig_duration_ns failed_write_pause = 1'000'000'000;
constexpr const char* no_space_text = "the file system has less free than disk_reserve";

} // namespace

class fs_store::group_commit {
public:
  explicit group_commit(fs_store& s) : store_{s}, base_{s.base_.get()} {}

  /// Step 1 for one write; what fails here fails alone.
  void prepare(sdk::pending_write& one) {
    try {
      switch (one.request->kind) {
      case HEDWIG_STORAGE_STAGE:
        return stage(one);
      case HEDWIG_STORAGE_APPEND:
        return append(one);
      case HEDWIG_STORAGE_DISCARD:
        return discard(one.as<hedwig_append_request>().stage);
      case HEDWIG_STORAGE_PUT:
        return put(one);
      case HEDWIG_STORAGE_MOVE:
        return move(one);
      default:
        return remove(one);
      }
    } catch (const sdk::failure& e) {
      one.fail(e.status(), e.what());
      store_.note_failed_write(e.status(), e.what());
    }
  }

  bool is_empty() const noexcept { return items_.empty(); }

  void sync_files() {
    std::vector<int> files;
    for (auto& one : items_)
      if (one.file.fd)
        files.push_back(one.file.fd.get());
    if (files.empty())
      return;
    if (store_.whole_file_system_ ? ::syncfs(base_) != 0 : (errno = store_.syncer_.run(files)) != 0)
      throw_errno("syncing the group in", store_.settings_.path);
  }

  void publish() {
    for (auto& one : items_) {
      try {
        if (one.write->request->kind == HEDWIG_STORAGE_PUT)
          rename(one.file.name, path_of(one.id, one.after), "publishing");
        else if (one.write->request->kind == HEDWIG_STORAGE_MOVE)
          publish_move(one);
        else
          publish_remove(one);
      } catch (const sdk::failure& e) {
        one.write->fail(e.status(), e.what());
        store_.note_failed_write(e.status(), e.what());
      }
    }
  }

  void sync_folders() {
    touched_.merge(store_.unsynced_folders_);
    store_.unsynced_folders_.clear();
    if (store_.whole_file_system_ && touched_.size() > folder_syncs_max) {
      if (::syncfs(base_) != 0)
        throw_errno("syncing the folders in", store_.settings_.path);
      return;
    }
    for (auto& folder : touched_)
      store_.sync_folder(folder);
  }

  /// Steps 4: the group is durable.
  void finish() noexcept {
    for (auto& one : items_) {
      if (one.write->status != HEDWIG_OK) {
        if (one.file.fd)
          store_.pool_.give_back(std::move(one.file));
        continue;
      }
      auto kind = one.write->request->kind;
      if (kind == HEDWIG_STORAGE_REMOVE)
        finish_remove(one);
      else
        store_.index_.put(one.id, one.after);
      if (kind == HEDWIG_STORAGE_MOVE)
        finish_move(one);
    }
  }

private:
  struct item {
    sdk::pending_write* write = nullptr;
    hedwig_msg_id id{};
    record before{};
    record after{};
    file_pool::file file;
    std::string removed_to{}; // a name in free/
  };

  // ---- stages ----

  void stage(sdk::pending_write& one) {
    if (store_.no_space_)
      return one.fail(HEDWIG_E_NO_SPACE, no_space_text);
    if (store_.stages_.size() >= stages_max)
      return one.fail(HEDWIG_E_BUSY, "too many bodies are under way");
    one.stage = store_.next_stage_++;
    store_.stages_.try_emplace(one.stage, stage_state{store_.pool_.take(), {}, false});
  }

  void append(sdk::pending_write& one) {
    auto& request = one.as<hedwig_append_request>();
    auto at = store_.stages_.find(request.stage);
    if (at == store_.stages_.end())
      return one.fail(HEDWIG_E_NOT_FOUND, "no such stage");
    auto& stage = at->second;
    if (stage.broken)
      return one.fail(HEDWIG_E_IO, "an earlier part of this body was not written");
    if (store_.no_space_)
      return one.fail(HEDWIG_E_NO_SPACE, no_space_text);
    std::vector<iovec> parts;
    auto offset = header_size + stage.sums.size();
    stage.broken = true; // until the write is through
    for (std::size_t i = 0; i < request.slice_count; ++i) {
      parts.push_back(part(sdk::view(request.slices[i])));
      stage.sums.add(sdk::view(request.slices[i]));
    }
    write_at(stage.file.fd.get(), std::move(parts), offset, stage.file.name);
    stage.broken = false;
  }

  void discard(std::uint64_t number) {
    auto node = store_.stages_.extract(number);
    if (!node.empty())
      store_.pool_.give_back(std::move(node.mapped().file));
  }

  // ---- PUT ----

  const char* why_not_put(const hedwig_put_request& request, hedwig_status& status) {
    auto at = store_.stages_.find(request.stage);
    status = HEDWIG_E_NO_SPACE;
    if (store_.no_space_)
      return no_space_text;
    status = HEDWIG_E_EXISTS;
    // The index is in memory: no flag is needed to afford the look.
    if (store_.index_.find(request.id))
      return "the message is stored";
    status = HEDWIG_E_NOT_FOUND;
    if (request.stage != 0 && at == store_.stages_.end())
      return "no such stage";
    status = HEDWIG_E_IO;
    if (request.stage != 0 && at->second.broken)
      return "an earlier part of this body was not written";
    status = HEDWIG_OK;
    return nullptr;
  }

  void put(sdk::pending_write& one) {
    auto& request = one.as<hedwig_put_request>();
    hedwig_status status = HEDWIG_OK;
    if (auto* why = why_not_put(request, status)) {
      discard(request.stage);
      return one.fail(status, why);
    }
    item it;
    it.write = &one;
    it.id = request.id;
    body_sums sums;
    if (request.stage != 0) {
      auto node = store_.stages_.extract(request.stage);
      it.file = std::move(node.mapped().file);
      sums = std::move(node.mapped().sums);
    } else {
      it.file = store_.pool_.take();
    }
    try {
      write_message(it, request, sums);
    } catch (...) {
      store_.pool_.give_back(std::move(it.file));
      throw;
    }
    it.after = {1,
                sums.size(),
                request.due,
                request.due,
                static_cast<std::uint8_t>(request.state),
                static_cast<std::uint8_t>(request.state),
                static_cast<std::uint8_t>(request.state)};
    keep(std::move(it));
  }

  void write_message(item& it, const hedwig_put_request& request, body_sums& sums) {
    auto staged = sums.size();
    for (std::size_t i = 0; i < request.slice_count; ++i)
      sums.add(sdk::view(request.slices[i]));
    std::string list;
    auto metadata = sdk::view(request.metadata);
    auto body_sum = sums.finish(list);
    auto header = encode(
        {request.id, request.state, 1, request.due, sums.size(), metadata.size(), body_sum, sdk::crc32c(metadata)});
    std::vector<iovec> parts;
    if (staged == 0)
      parts.push_back(part(header));
    else
      write_at(it.file.fd.get(), {part(header)}, 0, it.file.name);
    for (std::size_t i = 0; i < request.slice_count; ++i)
      parts.push_back(part(sdk::view(request.slices[i])));
    parts.push_back(part(metadata));
    parts.push_back(part(list));
    write_at(it.file.fd.get(), std::move(parts), staged == 0 ? 0 : header_size + staged, it.file.name);
    cut(it.file, header_size + sums.size() + metadata.size() + list.size());
  }

  static void cut(const file_pool::file& file, std::uint64_t size) {
    if (file.reused && ::ftruncate(file.fd.get(), static_cast<off_t>(size)) != 0)
      throw_errno("cutting", file.name);
  }

  // ---- MOVE and REMOVE ----

  void move(sdk::pending_write& one) {
    auto& request = one.as<hedwig_move_request>();
    auto found = store_.index_.find(request.id);
    if (!found)
      return one.fail(HEDWIG_E_NOT_FOUND, "no such message");
    if (found->revision != request.revision)
      return one.fail(HEDWIG_E_CONFLICT, "the message has revision " + std::to_string(found->revision));
    item it;
    it.write = &one;
    it.id = request.id;
    it.before = it.after = *found;
    it.after.state = it.after.folder = static_cast<std::uint8_t>(request.state);
    it.after.due = request.due;
    it.after.moved = true;
    ++it.after.revision;
    std::string kept;
    auto metadata = sdk::view(request.metadata);
    if ((request.flags & HEDWIG_MOVE_METADATA) == 0)
      metadata = kept = store_.load_metadata(request.id, *found);
    it.file = store_.pool_.take();
    try {
      auto header = encode({request.id, request.state, it.after.revision, request.due, it.after.body_size,
                            metadata.size(), 0, sdk::crc32c(metadata)});
      write_at(it.file.fd.get(), {part(header), part(metadata)}, 0, it.file.name);
      cut(it.file, header.size() + metadata.size());
    } catch (...) {
      store_.pool_.give_back(std::move(it.file));
      throw;
    }
    one.revision = it.after.revision;
    keep(std::move(it));
  }

  void remove(sdk::pending_write& one) {
    auto& request = one.as<hedwig_message_request>();
    auto found = store_.index_.find(request.id);
    if (!found)
      return; // absent is OK
    if (request.revision != 0 && request.revision != found->revision)
      return one.fail(HEDWIG_E_CONFLICT, "the message has revision " + std::to_string(found->revision));
    item it;
    it.write = &one;
    it.id = request.id;
    it.before = *found;
    keep(std::move(it));
  }

  void keep(item it) { items_.push_back(std::move(it)); }

  // ---- publishing ----

  /// Runs `call`, and once more after making the shard when that is what was missing.
  template <class Call>
  bool into_shard(const std::string& to, Call call) {
    auto folder = folder_part(to);
    bool done = call() == 0;
    if (!done && errno == ENOENT && (::mkdirat(base_, folder.c_str(), 0700) == 0 || errno == EEXIST)) {
      touched_.insert(folder_part(folder));
      done = call() == 0;
    }
    if (done)
      touched_.insert(std::move(folder));
    return done;
  }

  void rename(const std::string& from, const std::string& to, const char* doing) {
    if (!into_shard(to, [&] { return ::renameat(base_, from.c_str(), base_, to.c_str()); }))
      throw_errno(doing, to);
  }

  void publish_move(item& one) {
    rename(one.file.name, meta_path_of(one.id, one.after), "publishing");
    if (one.before.folder == one.after.folder)
      return;
    auto to = path_of(one.id, one.after);
    auto from = path_of(one.id, one.before);
    if (!into_shard(to, [&] { return ::linkat(base_, from.c_str(), base_, to.c_str(), 0); }))
      one.after.folder = one.before.folder; // the folder is a courtesy only
  }

  void remove_second_names(const hedwig_msg_id& id) {
    auto known = store_.second_names_.find(id);
    if (known == store_.second_names_.end())
      return;
    for (auto& name : known->second) {
      if (!unlink(name))
        throw_errno("removing", name);
      touched_.insert(folder_part(name));
    }
    store_.second_names_.erase(known);
  }

  void publish_remove(item& one) {
    auto path = path_of(one.id, one.before);
    remove_second_names(one.id);
    bool keeps = one.before.body_size <= file_pool::kept_size_max && !one.before.foreign && store_.pool_.wants_more();
    if (keeps)
      one.removed_to = store_.pool_.next_name();
    int failed =
        keeps ? ::renameat(base_, path.c_str(), base_, one.removed_to.c_str()) : ::unlinkat(base_, path.c_str(), 0);
    if (failed != 0 && errno != ENOENT)
      throw_errno("removing", path);
    if (failed != 0)
      one.removed_to.clear();
    touched_.insert(folder_part(path));
  }

  // ---- afterwards ----

  bool unlink(const std::string& path) noexcept { return ::unlinkat(base_, path.c_str(), 0) == 0 || errno == ENOENT; }

  void finish_move(item& one) {
    if (one.before.folder != one.after.folder) {
      auto old = path_of(one.id, one.before);
      if (!unlink(old))
        store_.second_names_[one.id].insert(old);
      if (one.before.foreign)
        unlink(foreign_note_of(one.id)); // what it says is in the metadata now
      store_.unsynced_folders_.insert(folder_part(old));
    }
    if (one.before.moved)
      unlink(meta_path_of(one.id, one.before));
  }

  void finish_remove(item& one) {
    store_.index_.erase(one.id);
    if (one.before.moved)
      unlink(meta_path_of(one.id, one.before));
    if (one.before.foreign)
      unlink(foreign_note_of(one.id));
    if (!one.removed_to.empty())
      store_.pool_.add_removed(one.removed_to);
  }

  fs_store& store_;
  int base_;
  std::vector<item> items_;
  std::set<std::string> touched_;
};

void fs_store::commit(std::span<sdk::pending_write> group) {
  if (settings_.read_only)
    throw sdk::failure{HEDWIG_E_UNSUPPORTED, "the spool is open for reading only", settings_.path};
  if (broken_)
    throw sdk::failure{HEDWIG_E_IO, "a sync has failed: nothing more is stored until a restart", settings_.path};
  group_commit work{*this};
  for (auto& one : group)
    work.prepare(one);
  if (work.is_empty())
    return;
  try {
    work.sync_files();
    work.publish();
    work.sync_folders();
  } catch (const sdk::failure& e) {
    broken_ = true;
    set_health(HEDWIG_E_IO, e.what());
    throw;
  }
  work.finish();
}

void fs_store::note_failed_write(hedwig_status status, const char* why) {
  if (status != HEDWIG_E_NO_SPACE && status != HEDWIG_E_IO)
    return;
  no_space_ = no_space_ || status == HEDWIG_E_NO_SPACE;
  failing_ = failing_ || status == HEDWIG_E_IO;
  // There may be space, and the fault may be gone: the next check tries.
  next_check_ = the_host().steady() + failed_write_pause;
  write_failed_ = true;
  set_health(status, why);
}

int fs_store::folder_fd(const std::string& folder) {
  auto& known = folders_[folder];
  if (!known)
    known = unique_fd{::openat(base_.get(), folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!known)
    throw_errno("opening", folder);
  return known.get();
}

void fs_store::sync_folder(const std::string& folder) { sync_file(folder_fd(folder), folder); }

} // namespace hedwig::storage_fs
