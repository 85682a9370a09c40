// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/relay_sim_store.hpp"

#include "runtime/queue/metadata.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace hedwig::sim {

namespace {

std::string text_of(hedwig_bytes from) {
  return from.size == 0 ? std::string{} : std::string{reinterpret_cast<const char*>(from.data), from.size};
}

hedwig_bytes bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

bool is_write(std::uint32_t kind) {
  return kind == HEDWIG_STORAGE_PUT || kind == HEDWIG_STORAGE_MOVE || kind == HEDWIG_STORAGE_REMOVE;
}

bool is_about_stage(std::uint32_t kind) {
  return kind == HEDWIG_STORAGE_STAGE || kind == HEDWIG_STORAGE_APPEND || kind == HEDWIG_STORAGE_DISCARD;
}

std::string joined(const hedwig_slice* slices, std::size_t count) {
  std::string all;
  for (std::size_t i = 0; i < count; ++i)
    all.append(reinterpret_cast<const char*>(slices[i].data), slices[i].size);
  return all;
}

} // namespace

// ---- the provider

const hedwig_provider& sim_store::provider() noexcept {
  static const hedwig_storage table{sizeof(hedwig_storage), 0, limits, submit, health};
  static const hedwig_provider made = [] {
    hedwig_provider p{};
    p.struct_size = sizeof p;
    p.interface_id = HEDWIG_STORAGE;
    p.name = "sim";
    p.summary = "A store in memory, for simulations.";
    p.interface = &table;
    p.create = create;
    p.start = at_once;
    p.stop = at_once;
    p.destroy = nothing;
    return p;
  }();
  return made;
}

hedwig_status sim_store::create(const hedwig_host* host, const hedwig_config*, void** out, hedwig_error*) {
  auto* self = std::exchange(next_, nullptr);
  self->host_ = host;
  self->dead_ = self->broken_ = self->full_ = false;
  for (auto& [id, one] : self->rows_)
    one.leased_until = {}; // leases end at start()
  self->stages_.clear();
  *out = self;
  return HEDWIG_OK;
}

void sim_store::at_once(void* self, hedwig_op* op) { static_cast<sim_store*>(self)->complete(op, HEDWIG_OK); }

const hedwig_storage_limits* sim_store::limits(void*) {
  static const hedwig_storage_limits all{sizeof(hedwig_storage_limits), 0, 1000, 64, 0, 0};
  return &all;
}

void sim_store::submit(void* self, const hedwig_storage_request* const* requests, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i)
    static_cast<sim_store*>(self)->take(*requests[i]);
}

hedwig_status sim_store::health(void* self) {
  auto& store = *static_cast<sim_store*>(self);
  return store.broken_ ? HEDWIG_E_IO : store.full_ ? HEDWIG_E_NO_SPACE : HEDWIG_OK;
}

void sim_store::complete(hedwig_op* op, hedwig_status status, const void* result) {
  hedwig_error why{};
  why.status = status;
  std::strcpy(why.message, "a fault of the simulation");
  hedwig_completion done{op, status, 0, result, status == HEDWIG_OK ? nullptr : &why};
  host_->complete(host_, &done, 1);
}

// ---- requests

void sim_store::take(const hedwig_storage_request& request) {
  if (dead_) {
    unanswered_.push_back(request.op);
    return;
  }
  if (world_.chance(faults_.busy)) {
    ++failed_;
    return complete(request.op, HEDWIG_E_BUSY);
  }
  if (is_write(request.kind))
    take_write(request);
  else if (is_about_stage(request.kind))
    take_stage(request);
  else
    take_read(request);
}

void sim_store::take_write(const hedwig_storage_request& request) {
  write fresh{.op = request.op, .kind = request.kind};
  if (request.kind == HEDWIG_STORAGE_PUT) {
    auto& put = reinterpret_cast<const hedwig_put_request&>(request);
    fresh.id = {put.id};
    fresh.content = {.state = put.state, .due = put.due, .metadata = text_of(put.metadata)};
    fresh.content.body = joined(put.slices, put.slice_count);
    fresh.stage = put.stage;
    fresh.lease = put.lease_until;
  } else if (request.kind == HEDWIG_STORAGE_MOVE) {
    auto& move = reinterpret_cast<const hedwig_move_request&>(request);
    fresh.id = {move.id};
    fresh.revision = move.revision;
    fresh.flags = move.flags;
    fresh.content = {.state = move.state, .due = move.due, .metadata = text_of(move.metadata)};
    fresh.lease = move.lease_until;
  } else {
    auto& remove = reinterpret_cast<const hedwig_message_request&>(request);
    fresh.id = {remove.id};
    fresh.revision = remove.revision;
    fresh.ride = (remove.flags & HEDWIG_REMOVE_RIDE) != 0;
  }
  if (lie_ == store_lie::acknowledges_early && fresh.kind == HEDWIG_STORAGE_PUT)
    complete(std::exchange(fresh.op, nullptr), HEDWIG_OK);
  waiting_.push_back(std::move(fresh));
}

void sim_store::take_stage(const hedwig_storage_request& request) {
  write fresh{.op = request.op, .kind = request.kind};
  if (request.kind != HEDWIG_STORAGE_STAGE) {
    auto& append = reinterpret_cast<const hedwig_append_request&>(request);
    fresh.stage = append.stage;
    fresh.chunk = joined(append.slices, append.slice_count);
  }
  waiting_.push_back(std::move(fresh));
}

void sim_store::take_read(const hedwig_storage_request& request) {
  inquiry fresh{.op = request.op, .kind = request.kind};
  if (request.kind == HEDWIG_STORAGE_LIST || request.kind == HEDWIG_STORAGE_CLAIM) {
    auto& list = reinterpret_cast<const hedwig_list_request&>(request);
    fresh.states = list.states;
    fresh.flags = list.flags;
    fresh.due_before = list.due_before;
    fresh.lease = list.lease_until;
    fresh.limit = list.limit;
    fresh.cursor.assign(reinterpret_cast<const char*>(list.cursor.data), list.cursor.size);
  } else if (request.kind == HEDWIG_STORAGE_READ || request.kind == HEDWIG_STORAGE_STAT) {
    auto& one = reinterpret_cast<const hedwig_message_request&>(request);
    fresh.id = {one.id};
    fresh.offset = one.offset;
    fresh.length = one.length;
  } else if (request.kind != HEDWIG_STORAGE_STATS) {
    return complete(request.op, HEDWIG_E_UNSUPPORTED);
  }
  answering_.push_back(fresh);
}

// ---- steps

bool sim_store::has_work_to_start() const { return committing_.empty() && !waiting_.empty(); }

std::size_t sim_store::ready() const noexcept {
  return dead_ ? 0 : std::size_t{has_work_to_start()} + !committing_.empty() + !answering_.empty();
}

void sim_store::step() {
  auto chosen = world_.random(ready());
  if (!answering_.empty() && chosen-- == 0)
    return answer_read();
  if (committing_.empty())
    begin_commit();
  else
    end_commit();
}

void sim_store::begin_commit() {
  // What rides waits for company, now and then for a long time.
  if (std::ranges::all_of(waiting_, &write::ride) && world_.random(3) != 0)
    return;
  committing_.assign(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(waiting_.end()));
  waiting_.clear();
}

void sim_store::end_commit() {
  if (broken_ || world_.chance(faults_.commit_failed)) {
    broken_ = broken_ || world_.chance(faults_.broken);
    return fail_group(true, HEDWIG_E_IO);
  }
  full_ = world_.chance(faults_.no_space);
  if (full_)
    return fail_group(false, HEDWIG_E_NO_SPACE);
  ++commits_;
  for (auto& one : std::exchange(committing_, {}))
    finish(one, apply(one));
}

void sim_store::fail_group(bool all_writes, hedwig_status status) {
  for (auto& one : std::exchange(committing_, {})) {
    auto grows =
        one.kind == HEDWIG_STORAGE_PUT || one.kind == HEDWIG_STORAGE_STAGE || one.kind == HEDWIG_STORAGE_APPEND;
    if (one.kind == HEDWIG_STORAGE_DISCARD || (!all_writes && !grows)) {
      finish(one, apply(one));
      continue;
    }
    ++failed_;
    finish(one, status);
    if (one.kind == HEDWIG_STORAGE_PUT && one.stage != 0) { // consumed either way
      auto stage = stages_.extract(one.stage);
      one.content.body = (stage.empty() ? std::string{} : std::move(stage.mapped())) + one.content.body;
      one.stage = 0;
    }
    if (is_write(one.kind))
      failed_writes_.push_back(std::move(one));
  }
}

void sim_store::finish(write& what, hedwig_status status) {
  auto* op = std::exchange(what.op, nullptr);
  if (op == nullptr)
    return;
  if (status == HEDWIG_OK && what.kind == HEDWIG_STORAGE_STAGE) {
    hedwig_stage_result made{sizeof made, 0, what.stage};
    return complete(op, status, &made);
  }
  if (status != HEDWIG_OK || what.kind == HEDWIG_STORAGE_REMOVE || is_about_stage(what.kind))
    return complete(op, status);
  hedwig_commit_result result{sizeof result, 0, {}, what.kind == HEDWIG_STORAGE_PUT ? 1 : what.revision + 1, 1, 0};
  complete(op, HEDWIG_OK, &result);
}

steady_time sim_store::lease_end(hedwig_time_ns until) const {
  if (until == 0)
    return {};
  auto& clock = world_.clock();
  return clock.steady() + (wall_time{std::chrono::nanoseconds{until}} - clock.wall());
}

hedwig_status sim_store::apply_stage(write& what) {
  if (what.kind == HEDWIG_STORAGE_STAGE) {
    what.stage = ++last_stage_;
    stages_[what.stage];
    return HEDWIG_OK;
  }
  auto found = stages_.find(what.stage);
  if (what.kind == HEDWIG_STORAGE_DISCARD) {
    if (found != stages_.end())
      stages_.erase(found);
    return HEDWIG_OK;
  }
  if (found == stages_.end())
    return HEDWIG_E_NOT_FOUND;
  found->second += what.chunk;
  return HEDWIG_OK;
}

hedwig_status sim_store::apply(write& what) {
  if (is_about_stage(what.kind))
    return apply_stage(what);
  auto found = rows_.find(what.id);
  if (what.kind == HEDWIG_STORAGE_PUT) {
    if (what.stage != 0) {
      auto stage = stages_.extract(what.stage);
      if (stage.empty())
        return HEDWIG_E_NOT_FOUND;
      what.content.body = std::move(stage.mapped()) + what.content.body;
      ++staged_;
    }
    what.content.leased_until = lease_end(what.lease);
    oracle_.put_committed(what.id, what.content.metadata, what.content.body);
    if (lie_ == store_lie::loses_committed && world_.random(2) == 0)
      return HEDWIG_OK;
    rows_.insert_or_assign(what.id, std::move(what.content));
    return HEDWIG_OK;
  }
  if (found == rows_.end())
    return what.kind == HEDWIG_STORAGE_REMOVE ? HEDWIG_OK : HEDWIG_E_NOT_FOUND;
  auto& now = found->second;
  if (what.revision != now.revision && (what.kind == HEDWIG_STORAGE_MOVE || what.revision != 0))
    return HEDWIG_E_CONFLICT;
  if (what.kind == HEDWIG_STORAGE_REMOVE) {
    oracle_.remove_committed(what.id, due_clock_->now());
    rows_.erase(found);
    return HEDWIG_OK;
  }
  if ((what.flags & HEDWIG_MOVE_METADATA) == 0)
    what.content.metadata = now.metadata;
  oracle_.move_committed(what.id, what.content.state, wall_time{std::chrono::nanoseconds{what.content.due}},
                         what.content.metadata);
  now.leased_until = lease_end(what.lease);
  if (lie_ == store_lie::forgets_moves && what.content.state == HEDWIG_STATE_DEFERRED) {
    ++now.revision;
    return HEDWIG_OK;
  }
  now.state = what.content.state;
  now.due = what.content.due;
  now.metadata = what.content.metadata;
  ++now.revision;
  return HEDWIG_OK;
}

// ---- reading

void sim_store::answer_read() {
  auto at = answering_.begin() + static_cast<std::ptrdiff_t>(world_.random(answering_.size()));
  auto what = *at;
  answering_.erase(at);
  if (world_.chance(faults_.read_failed)) {
    ++failed_;
    return complete(what.op, HEDWIG_E_IO);
  }
  if (what.kind == HEDWIG_STORAGE_READ)
    answer_body(what);
  else if (what.kind == HEDWIG_STORAGE_STAT)
    answer_stat(what);
  else if (what.kind == HEDWIG_STORAGE_STATS)
    answer_stats(what);
  else
    answer_listing(what);
}

void sim_store::answer_listing(const inquiry& what) {
  std::vector<std::map<message_id, row>::iterator> found;
  for (auto it = rows_.begin(); it != rows_.end(); ++it) {
    auto& one = it->second;
    auto wanted =
        (what.states & HEDWIG_STATE_MASK(one.state)) != 0 && (what.due_before == 0 || one.due < what.due_before);
    if (wanted && cursor_at(it->first, one) > what.cursor && !(what.kind == HEDWIG_STORAGE_CLAIM && leased(one)))
      found.push_back(it);
  }
  std::ranges::sort(found, {}, [](auto& it) { return std::pair{it->second.due, it->first}; });
  // A store bounds the work of one request: a page may end anywhere, but for a walk that gets on.
  std::string cursor;
  auto room = world_.random(4) == 0 ? 1 + world_.random(what.limit) : what.limit;
  if (found.size() > room) {
    found.resize(room);
    cursor = cursor_at(found.back()->first, found.back()->second);
  }
  std::vector<hedwig_entry> entries;
  for (auto& it : found) {
    auto& one = it->second;
    entries.push_back(entry_of(it->first, one));
    if (what.kind == HEDWIG_STORAGE_CLAIM)
      one.leased_until = lease_end(what.lease);
  }
  std::vector<const hedwig_entry*> pointers;
  for (auto& one : entries)
    pointers.push_back(&one);
  hedwig_list_result result{sizeof result, 0, pointers.data(), pointers.size(), bytes_of(cursor)};
  complete(what.op, HEDWIG_OK, &result);
}

/// Orders as (due, id) does.
std::string sim_store::cursor_at(const message_id& id, const row& one) {
  std::string cursor;
  for (int shift = 56; shift >= 0; shift -= 8)
    cursor += static_cast<char>(static_cast<std::uint64_t>(one.due) >> shift);
  return cursor.append(reinterpret_cast<const char*>(id.raw.bytes), sizeof id.raw.bytes);
}

hedwig_entry sim_store::entry_of(const message_id& id, const row& one) {
  return {sizeof(hedwig_entry),   one.state, id.raw, {}, one.revision, one.body.size(), one.due,
          bytes_of(one.metadata), 0,         0};
}

void sim_store::answer_stat(const inquiry& what) {
  auto found = rows_.find(what.id);
  if (found == rows_.end())
    return complete(what.op, HEDWIG_E_NOT_FOUND);
  auto entry = entry_of(found->first, found->second);
  complete(what.op, HEDWIG_OK, &entry);
}

void sim_store::answer_body(const inquiry& what) {
  auto found = rows_.find(what.id);
  if (found == rows_.end())
    return complete(what.op, HEDWIG_E_NOT_FOUND);
  auto& whole = found->second.body;
  auto body = std::string_view{whole}.substr(std::min<std::size_t>(what.offset, whole.size()));
  if (what.length != 0)
    body = body.substr(0, what.length);
  parts_read_ += body.size() < whole.size();
  if (body.size() > 1 && world_.random(4) == 0)
    body = body.substr(0, 1 + world_.random(body.size())); // a store may give less
  std::uint8_t* data = nullptr;
  auto* buffer = host_->buf_alloc(host_, body.size(), &data);
  std::memcpy(data, body.data(), body.size());
  hedwig_slice slice{buffer, data, body.size()};
  hedwig_read_result result{sizeof result, 0, &slice, 1, whole.size()};
  complete(what.op, HEDWIG_OK, &result);
}

void sim_store::answer_stats(const inquiry& what) {
  hedwig_state_stats states[HEDWIG_STATE_COUNT]{};
  for (auto& [id, one] : rows_)
    ++states[one.state].messages;
  hedwig_storage_stats result{};
  result.struct_size = sizeof result;
  result.state_count = HEDWIG_STATE_COUNT;
  result.states = states;
  complete(what.op, HEDWIG_OK, &result);
}

// ---- crashes

void sim_store::crash() {
  dead_ = true;
  auto remember = [this](auto& all) {
    for (auto& one : all)
      if (one.op != nullptr)
        unanswered_.push_back(std::exchange(one.op, nullptr));
  };
  remember(waiting_);
  remember(committing_);
  remember(answering_);
  if (!committing_.empty() && world_.random(2) == 0)
    for (auto& one : committing_)
      static_cast<void>(apply(one));
  for (auto& one : failed_writes_)
    if (world_.chance(faults_.appears) &&
        (one.kind == HEDWIG_STORAGE_PUT ? !rows_.contains(one.id) : rows_.contains(one.id)))
      static_cast<void>(apply(one));
  stages_.clear();
  failed_writes_.clear();
  waiting_.clear();
  committing_.clear();
  answering_.clear();
}

void sim_store::abandon() {
  dead_ = true;
  while (!unanswered_.empty()) {
    auto* op = unanswered_.back();
    unanswered_.pop_back();
    complete(op, HEDWIG_E_UNAVAILABLE);
  }
}

std::optional<wall_time> sim_store::next_due(wall_time now) const {
  std::optional<wall_time> soonest;
  auto& clock = world_.clock();
  for (auto& [id, one] : rows_) {
    if (one.state != HEDWIG_STATE_QUEUED && one.state != HEDWIG_STATE_DEFERRED)
      continue;
    auto when = std::max(wall_time{std::chrono::nanoseconds{one.due}}, now + (one.leased_until - clock.steady()));
    if (!soonest || when < *soonest)
      soonest = when;
  }
  return soonest;
}

std::chrono::nanoseconds sim_store::kept_back(wall_time now) const {
  auto& clock = world_.clock();
  std::chrono::nanoseconds longest{};
  for (auto& [id, one] : rows_)
    if ((one.state == HEDWIG_STATE_QUEUED || one.state == HEDWIG_STATE_DEFERRED) &&
        wall_time{std::chrono::nanoseconds{one.due}} <= now)
      longest = std::max(longest, one.leased_until - clock.steady());
  return longest;
}

std::size_t sim_store::queued() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(rows_, [](auto& one) { return one.second.state != HEDWIG_STATE_BOUNCED; }));
}

std::string sim_store::describe_queue() const {
  std::string all;
  auto& clock = world_.clock();
  for (auto& [id, one] : rows_)
    if (one.state != HEDWIG_STATE_BOUNCED)
      all += fmt::format("{} {} state {}, due in {} s, {}; ", oracle::key_of(one.body), id.text(), one.state,
                         (one.due - clock.wall().time_since_epoch().count()) / 1'000'000'000,
                         leased(one) ? "claimed" : "not claimed");
  return all;
}

std::map<message_id, oracle::left_over> sim_store::contents() const {
  std::map<message_id, oracle::left_over> all;
  for (auto& [id, one] : rows_) {
    auto read = queue::decode_metadata(one.metadata, id);
    auto pending = !read || std::ranges::any_of(read->record.recipients,
                                                [](auto& r) { return r.status == queue::recipient_status::pending; });
    all[id] = {one.state, pending};
  }
  return all;
}

} // namespace hedwig::sim
