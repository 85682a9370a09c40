// SPDX-License-Identifier: Apache-2.0
#include "tests/component/plugin_check/journal_store.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace hedwig::test {

namespace {

constexpr std::uint64_t reserve = std::uint64_t{4} << 20; // free space kept for MOVE and REMOVE

std::string text_of(const hedwig_msg_id& id) { return {reinterpret_cast<const char*>(id.bytes), sizeof id.bytes}; }
hedwig_msg_id id_of(std::string_view text) {
  hedwig_msg_id id;
  std::memcpy(id.bytes, text.data(), sizeof id.bytes);
  return id;
}

void add_number(std::string& to, std::uint64_t value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}
void add_text(std::string& to, std::string_view text) {
  add_number(to, text.size());
  to += text;
}

/// Takes apart what add_number() and add_text() put together; `good` is false once it ran short.
struct reader {
  std::string_view rest;
  bool good = true;
  std::uint64_t number() {
    std::uint64_t value = 0;
    if (rest.size() < sizeof value)
      good = false;
    else {
      std::memcpy(&value, rest.data(), sizeof value);
      rest.remove_prefix(sizeof value);
    }
    return value;
  }
  std::string_view text() {
    auto size = number();
    if (rest.size() < size)
      good = false;
    auto found = rest.substr(0, good ? size : 0);
    rest.remove_prefix(found.size());
    return found;
  }
};

[[noreturn]] void fail(const char* doing) {
  throw sdk::failure{errno == ENOSPC ? HEDWIG_E_NO_SPACE : HEDWIG_E_IO,
                     std::string{doing} + ": " + std::strerror(errno)};
}

} // namespace

journal_store::journal_store(const sdk::host& h, const sdk::config& c)
  : store{h}, path_{c.string("path")}, fault_{c.string("fault")} {}

journal_store::~journal_store() { close(); }

hedwig_storage_limits journal_store::limits() const {
  return {sizeof(hedwig_storage_limits), 0, 4096, 512, std::uint64_t{128} << 20, 0};
}

// ---- the journal ----

void journal_store::open() {
  file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file_ < 0)
    fail("opening the journal");
  replay();
}

void journal_store::close() noexcept {
  if (file_ < 0)
    return;
  if (!held_back_.empty() && ::pwrite(file_, held_back_.data(), held_back_.size(), static_cast<off_t>(size_)) < 0)
    held_back_.clear();
  ::close(std::exchange(file_, -1));
}

void journal_store::replay() {
  struct stat now {};
  if (::fstat(file_, &now) != 0)
    fail("reading the journal");
  std::string all(static_cast<std::size_t>(now.st_size), '\0');
  for (std::size_t at = 0; at < all.size();) {
    auto got = ::pread(file_, all.data() + at, all.size() - at, static_cast<off_t>(at));
    if (got <= 0)
      fail("reading the journal");
    at += static_cast<std::size_t>(got);
  }
  reader in{all};
  while (!in.rest.empty()) {
    std::string id{in.text()};
    message one{static_cast<std::uint32_t>(in.number()),
                static_cast<hedwig_time_ns>(in.number()),
                in.number(),
                std::string{in.text()},
                {}};
    bool has_body = in.number() != 0;
    std::string body{in.text()};
    if (!in.good)
      break; // a torn tail: never acknowledged
    if (!has_body)
      body = *messages_[id].body;
    one.body = std::make_shared<const std::string>(std::move(body));
    if (one.revision == 0)
      messages_.erase(id);
    else
      messages_[id] = std::move(one);
    size_ = all.size() - in.rest.size();
  }
  if (::ftruncate(file_, static_cast<off_t>(size_)) != 0)
    fail("cutting the journal");
}

void journal_store::append_to_journal(std::string_view text) {
  if (broken_)
    throw sdk::failure{HEDWIG_E_IO, "a sync has failed"};
  auto at = size_;
  for (auto rest = text; !rest.empty();) {
    auto got = ::pwrite(file_, rest.data(), rest.size(), static_cast<off_t>(at));
    if (got < 0) {
      auto why = errno;
      if (::ftruncate(file_, static_cast<off_t>(size_)) != 0)
        broken_ = true;
      errno = why;
      fail("writing the journal");
    }
    rest.remove_prefix(static_cast<std::size_t>(got));
    at += static_cast<std::uint64_t>(got);
  }
  if (!has_fault("acknowledges-unsynced") && ::fdatasync(file_) != 0 && !has_fault("acknowledges-failed-syncs")) {
    broken_ = true;
    fail("syncing the journal");
  }
  size_ = at;
}

void journal_store::tick(hedwig_time_ns) {
  struct statvfs now {};
  if (broken_ || health() == HEDWIG_OK || ::fstatvfs(file_, &now) != 0)
    return;
  if (static_cast<std::uint64_t>(now.f_bavail) * now.f_frsize > 2 * reserve)
    set_health(HEDWIG_OK, "there is space");
}

// ---- writes ----

void journal_store::commit(std::span<sdk::pending_write> group) {
  struct statvfs now {};
  bool full = ::fstatvfs(file_, &now) == 0 && static_cast<std::uint64_t>(now.f_bavail) * now.f_frsize < reserve;
  messages next; // what is not durable yet is not seen
  {
    std::lock_guard guard{mutex_};
    next = messages_;
  }
  std::string journal;
  for (auto& one : group) {
    bool takes_space = one.request->kind == HEDWIG_STORAGE_PUT || one.request->kind == HEDWIG_STORAGE_APPEND;
    bool stuck = has_fault("full-store-stuck") && one.request->kind == HEDWIG_STORAGE_MOVE;
    if (full && (takes_space || stuck))
      one.fail(HEDWIG_E_NO_SPACE, "the disk is full");
    else
      apply(one, next, journal);
  }
  if (full && !has_fault("says-well-when-full"))
    set_health(HEDWIG_E_NO_SPACE, "the disk is full");
  try {
    if (has_fault("acknowledges-unwritten") && !journal.empty())
      std::swap(journal, held_back_); // each group is written with the next
    if (!journal.empty())
      append_to_journal(journal);
  } catch (const sdk::failure& e) {
    if (has_fault("acknowledges-unwritten"))
      held_back_ = journal;
    set_health(e.status(), e.what());
    if (has_fault("wrong-error-class") && e.status() == HEDWIG_E_IO && !broken_)
      throw sdk::failure{HEDWIG_E_INTERNAL, e.what()};
    if (!has_fault("acknowledges-when-full") || e.status() != HEDWIG_E_NO_SPACE)
      throw;
  }
  std::lock_guard guard{mutex_};
  messages_ = std::move(next);
}

void journal_store::apply(sdk::pending_write& one, messages& next, std::string& journal) {
  auto& append = one.as<hedwig_append_request>();
  switch (one.request->kind) {
  case HEDWIG_STORAGE_STAGE:
    one.stage = ++last_stage_;
    stages_[one.stage];
    return;
  case HEDWIG_STORAGE_APPEND:
    if (!stages_.contains(append.stage))
      return one.fail(HEDWIG_E_NOT_FOUND, "no such stage");
    for (std::size_t i = 0; i < append.slice_count; ++i)
      stages_[append.stage] += sdk::view(append.slices[i]);
    return;
  case HEDWIG_STORAGE_DISCARD:
    if (!has_fault("keeps-discarded-stages"))
      stages_.erase(append.stage);
    return;
  case HEDWIG_STORAGE_PUT:
    return put(one, next, journal);
  case HEDWIG_STORAGE_MOVE:
    return move(one, next, journal);
  default:
    return remove(one, next, journal);
  }
}

namespace {

template <class Message>
void write_record(std::string& to, std::string_view id, const Message& one, bool with_body) {
  add_text(to, id);
  add_number(to, one.state);
  add_number(to, static_cast<std::uint64_t>(one.due));
  add_number(to, one.revision);
  add_text(to, one.metadata);
  add_number(to, with_body);
  add_text(to, with_body ? std::string_view{*one.body} : std::string_view{});
}

} // namespace

void journal_store::put(sdk::pending_write& one, messages& next, std::string& journal) {
  auto& request = one.as<hedwig_put_request>();
  auto id = text_of(request.id);
  bool exists = next.contains(id) && (request.flags & HEDWIG_PUT_RETRY) != 0 && !has_fault("overwrites-on-retry");
  std::string body;
  if (request.stage != 0) {
    auto stage = stages_.find(request.stage);
    if (stage == stages_.end())
      return one.fail(HEDWIG_E_NOT_FOUND, "no such stage");
    body = stage->second;
    if (!exists || !has_fault("keeps-stage-of-failed-put"))
      stages_.erase(stage);
  }
  if (exists)
    return one.fail(HEDWIG_E_EXISTS, "it is stored");
  for (std::size_t i = 0; i < request.slice_count; ++i)
    if (request.stage == 0 || !has_fault("drops-slices-after-stage"))
      body += sdk::view(request.slices[i]);
  message made{request.state, request.due, 1, std::string{sdk::view(request.metadata)}, {}};
  if (has_fault("cuts-metadata") && made.metadata.size() > 65536)
    made.metadata.resize(65536);
  if (has_fault("cuts-large-bodies") && body.size() > (std::size_t{4} << 20))
    body.resize(std::size_t{4} << 20);
  if (has_fault("corrupts-bodies") && body.size() == 4097)
    body[2000] ^= 1;
  bool forgets = has_fault("forgets-on-reopen") && body.size() == std::size_t{30} * 997;
  made.body = std::make_shared<const std::string>(std::move(body));
  one.revision = 1;
  if (!forgets)
    write_record(journal, id, made, true);
  next[id] = std::move(made);
}

void journal_store::move(sdk::pending_write& one, messages& next, std::string& journal) {
  auto& request = one.as<hedwig_move_request>();
  auto at = next.find(text_of(request.id));
  if (at == next.end())
    return one.fail(HEDWIG_E_NOT_FOUND, "no such message");
  if (at->second.revision != request.revision && !has_fault("ignores-revision"))
    return one.fail(HEDWIG_E_CONFLICT, "another revision");
  at->second.state = request.state;
  at->second.due = request.due;
  at->second.revision = request.revision + 1;
  if ((request.flags & HEDWIG_MOVE_METADATA) != 0)
    at->second.metadata = sdk::view(request.metadata);
  else if (has_fault("move-loses-metadata") && at->second.metadata.size() > 100)
    at->second.metadata.clear();
  one.revision = at->second.revision;
  write_record(journal, at->first, at->second, false);
}

void journal_store::remove(sdk::pending_write& one, messages& next, std::string& journal) {
  auto& request = one.as<hedwig_message_request>();
  auto at = next.find(text_of(request.id));
  if (at == next.end())
    return; // absent is OK
  if (request.revision != 0 && at->second.revision != request.revision && !has_fault("remove-ignores-revision"))
    return one.fail(HEDWIG_E_CONFLICT, "another revision");
  write_record(journal, at->first, message{}, true);
  next.erase(at);
}

// ---- reads ----

const journal_store::message& journal_store::find(const hedwig_msg_id& id) const {
  auto at = messages_.find(text_of(id));
  if (at == messages_.end())
    throw sdk::failure{HEDWIG_E_NOT_FOUND, "no such message"};
  return at->second;
}

sdk::stored_entry journal_store::entry_of(const id_text& id, const message& one, bool with_metadata) const {
  return {id_of(id),    one.state,        0,       {},
          one.revision, one.body->size(), one.due, with_metadata ? one.metadata : std::string{}};
}

sdk::stored_entry journal_store::stat(const hedwig_message_request& request) {
  std::lock_guard guard{mutex_};
  return entry_of(text_of(request.id), find(request.id), true);
}

sdk::read_slices journal_store::read(const hedwig_message_request& request) {
  std::lock_guard guard{mutex_};
  auto& one = find(request.id);
  sdk::read_slices out{the_host()};
  out.body_size = one.body->size();
  if (request.offset >= one.body->size())
    return out;
  auto offset = has_fault("ignores-offset") && request.offset == 262'145 ? 0 : request.offset;
  auto text = std::string_view{*one.body}.substr(offset, 262'144);
  if (request.length != 0)
    text = text.substr(0, request.length);
  out.add(sdk::copy_to_buffer(the_host(), text));
  if (has_fault("leaks-buffers") && ++reads_ % 16 == 0)
    sdk::copy_to_buffer(the_host(), text);
  return out;
}

sdk::entry_page journal_store::list(const hedwig_list_request& request, const claim_times* claim) {
  std::lock_guard guard{mutex_};
  bool by_receipt = claim == nullptr && (request.flags & HEDWIG_LIST_BY_RECEIPT) != 0;
  if (request.cursor.size != 0 && request.cursor.size != 24)
    throw sdk::failure{HEDWIG_E_INVALID, "not a cursor of this store"};
  using position = std::pair<hedwig_time_ns, id_text>;
  std::vector<std::pair<position, const message*>> walk;
  for (auto& [id, one] : messages_)
    if ((HEDWIG_STATE_MASK(one.state) & request.states) != 0 &&
        (request.due_before == 0 || one.due < request.due_before))
      walk.push_back({{by_receipt || (claim == nullptr && has_fault("lists-by-id")) ? 0 : one.due, id}, &one});
  std::ranges::sort(walk, {}, [](auto& one) -> const position& { return one.first; });
  position after;
  if (request.cursor.size == 24) {
    std::memcpy(&after.first, request.cursor.data, 8);
    after.second.assign(reinterpret_cast<const char*>(request.cursor.data) + 8, 16);
    // A number of entries to leave out is no place in a walk: it shifts with what comes and goes.
    if (has_fault("cursor-counts"))
      walk.erase(walk.begin(), walk.begin() + std::min<long>(after.first, std::ssize(walk)));
  }
  sdk::entry_page page;
  std::uint64_t seen = 0;
  for (auto& [at, one] : walk) {
    if (request.cursor.size == 24 && !has_fault("cursor-counts") && at <= after)
      continue;
    ++seen;
    auto id = id_of(at.second);
    if (claim != nullptr && !has_fault("ignores-leases") && !leases().try_claim(id, claim->now, claim->until))
      continue;
    page.entries.push_back(entry_of(at.second, *one, claim != nullptr || (request.flags & HEDWIG_LIST_METADATA) != 0));
    if (page.entries.size() == request.limit) {
      auto first =
          has_fault("cursor-counts") ? static_cast<hedwig_time_ns>(after.first + static_cast<long>(seen)) : at.first;
      page.cursor.assign(reinterpret_cast<const char*>(&first), 8);
      page.cursor += at.second;
      break;
    }
  }
  return page;
}

sdk::state_stats journal_store::stats() {
  std::lock_guard guard{mutex_};
  sdk::state_stats out;
  for (auto& [id, one] : messages_) {
    auto& state = out.states[one.state];
    state.bytes += one.body->size();
    state.oldest_due =
        state.messages++ == 0 || has_fault("wrong-oldest") ? one.due : std::min(state.oldest_due, one.due);
  }
  return out;
}

} // namespace hedwig::test
