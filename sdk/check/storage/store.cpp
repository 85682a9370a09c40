// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/storage/store.hpp"

#include <hedwig/plugin.hpp>

#include <algorithm>

#include "sdk/check/storage/rules.hpp"
#include "sdk/check/test.hpp"

namespace hedwig::check::storage {

store::store(context& run) : run_{run}, table_{*static_cast<const hedwig_storage*>(run.provider().interface)} {}

bool store::is_blocking() const { return (run_.provider().flags & HEDWIG_PROVIDER_BLOCKING) != 0; }

hedwig_status store::try_open() {
  instance_ =
      new instance{run_}; // NOLINT: the one before stays, since its ops may still be completed: that must be seen
  auto status = instance_->try_begin();
  if (status != HEDWIG_OK)
    return status;
  limits_ = *table_.limits(instance_->raw());
  expect(limits_.in_flight > 0 && limits_.batch > 0, rules::limits_constant,
         "limits() allows {} requests in flight and {} in a batch", limits_.in_flight, limits_.batch);
  pumping_ = true;
  pump_ = std::thread{[this] { pump(); }};
  return status;
}

void store::open() {
  auto status = try_open();
  expect(status == HEDWIG_OK, rules::completes_start, "start() completed with {}: {}", name_of(status),
         instance_->error());
}

void store::stop_pump() {
  {
    std::lock_guard guard{services().mutex()};
    pumping_ = false;
  }
  services().changed().notify_all();
  if (pump_.joinable())
    pump_.join();
}

bool store::is_volatile() const { return run_.settings().is_volatile(); }

void store::reopen() {
  if (is_volatile())
    throw skipped{"check.volatile: the store forgets when it stops; what came before was good"};
  close();
  open();
}

void store::close() {
  services().wait_until([this] { return waiting_.empty(); });
  stop_pump();
  instance_->end();
}

bool store::may_take_more(std::uint64_t bytes) const {
  return in_flight_ < limits_.in_flight &&
         (in_flight_bytes_ == 0 || bytes == 0 || in_flight_bytes_ + bytes <= limits_.in_flight_bytes);
}

void store::pump() {
  std::vector<const hedwig_storage_request*> some;
  std::unique_lock guard{services().mutex()};
  for (;;) {
    services().changed().wait(
        guard, [this] { return !pumping_ || (!waiting_.empty() && may_take_more(waiting_.front()->bytes)); });
    if (!pumping_)
      return;
    some.clear();
    while (!waiting_.empty() && some.size() < limits_.batch && may_take_more(waiting_.front()->bytes)) {
      ++in_flight_;
      in_flight_bytes_ += waiting_.front()->bytes;
      some.push_back(&waiting_.front()->request.head);
      waiting_.pop_front();
    }
    guard.unlock();
    table_.submit(instance_->raw(), some.data(), some.size());
    guard.lock();
    services().changed().notify_all();
  }
}

void store::submit(const std::vector<op_pointer>& ops) {
  all_.insert(all_.end(), ops.begin(), ops.end());
  {
    std::lock_guard guard{services().mutex()};
    for (auto& one : ops) {
      one->on_completion = [this, bytes = one->bytes] {
        --in_flight_;
        in_flight_bytes_ -= bytes;
      };
      waiting_.push_back(one);
    }
  }
  services().changed().notify_all();
}

void store::submit_beyond_limits(const std::vector<op_pointer>& ops) {
  all_.insert(all_.end(), ops.begin(), ops.end());
  std::vector<const hedwig_storage_request*> requests;
  for (auto& one : ops)
    requests.push_back(&one->request.head);
  for (std::size_t at = 0; at < requests.size(); at += limits_.batch)
    table_.submit(instance_->raw(), requests.data() + at, std::min<std::size_t>(limits_.batch, requests.size() - at));
}

const answer& store::wait(const op_pointer& one) {
  services().wait(*one);
  return one->got;
}

void store::wait(const std::vector<op_pointer>& all) {
  for (auto& one : all)
    services().wait(*one);
}

namespace {

const char* name_of_kind(std::uint32_t kind) {
  switch (kind) {
  case HEDWIG_STORAGE_STAGE:
    return "STAGE";
  case HEDWIG_STORAGE_APPEND:
    return "APPEND";
  case HEDWIG_STORAGE_DISCARD:
    return "DISCARD";
  case HEDWIG_STORAGE_PUT:
    return "PUT";
  case HEDWIG_STORAGE_MOVE:
    return "MOVE";
  case HEDWIG_STORAGE_REMOVE:
    return "REMOVE";
  case HEDWIG_STORAGE_STAT:
    return "STAT";
  case HEDWIG_STORAGE_READ:
    return "READ";
  case HEDWIG_STORAGE_LIST:
    return "LIST";
  case HEDWIG_STORAGE_CLAIM:
    return "CLAIM";
  case HEDWIG_STORAGE_STATS:
    return "STATS";
  default:
    return "a request";
  }
}

} // namespace

op_pointer store::make(std::uint32_t kind) {
  auto one = std::make_shared<storage_op>(services());
  one->called(name_of_kind(kind));
  one->kind = kind;
  one->request.head = {sizeof(hedwig_storage_request), kind, one.get()};
  return one;
}

op_pointer store::make_put(const hedwig_msg_id& id, std::string_view body, std::string_view metadata,
                           std::uint32_t state, hedwig_time_ns due, std::uint64_t stage) {
  auto one = make(HEDWIG_STORAGE_PUT);
  one->metadata = metadata;
  one->bytes = body.size();
  // In several slices, as a relay would put its own field before the message.
  constexpr std::size_t piece_max = std::size_t{1} << 20;
  auto first = body.substr(0, std::min(body.size() / 3, std::size_t{500}));
  if (!first.empty())
    one->slices.push_back(services().copy(first));
  for (body.remove_prefix(first.size()); !body.empty(); body.remove_prefix(std::min(piece_max, body.size())))
    one->slices.push_back(services().copy(body.substr(0, piece_max)));
  one->request.put = {
      sizeof(hedwig_put_request), HEDWIG_STORAGE_PUT,       one.get(), id, state, 0, due, 0, stage, one->slices.data(),
      one->slices.size(),         sdk::bytes(one->metadata)};
  return one;
}

op_pointer store::make_move(const hedwig_msg_id& id, std::uint64_t revision, std::uint32_t state, hedwig_time_ns due,
                            const hedwig_storage_hint& hint) {
  auto one = make(HEDWIG_STORAGE_MOVE);
  one->request.move = {
      sizeof(hedwig_move_request), HEDWIG_STORAGE_MOVE, one.get(), id, hint, revision, state, 0, due, 0, {}};
  return one;
}

op_pointer store::make_move_with(const hedwig_msg_id& id, std::uint64_t revision, std::uint32_t state,
                                 hedwig_time_ns due, std::string_view metadata, const hedwig_storage_hint& hint) {
  auto one = make_move(id, revision, state, due, hint);
  one->metadata = metadata;
  one->request.move.metadata = sdk::bytes(one->metadata);
  one->request.move.flags = HEDWIG_MOVE_METADATA;
  return one;
}

op_pointer store::make_message(std::uint32_t kind, const hedwig_msg_id& id, const hedwig_storage_hint& hint) {
  auto one = make(kind);
  one->request.message = {sizeof(hedwig_message_request), kind, one.get(), id, hint, 0, 0, 0, 0, 0};
  return one;
}

op_pointer store::make_list(std::uint32_t kind, std::uint32_t states, std::uint32_t limit, std::string_view cursor,
                            std::uint32_t flags) {
  auto one = make(kind);
  one->cursor = cursor;
  one->request.list = {sizeof(hedwig_list_request), kind,  one.get(), states, flags, 0, 0,
                       sdk::bytes(one->cursor),     limit, 0};
  return one;
}

op_pointer store::make_claim(std::uint32_t states, hedwig_time_ns due_before, std::chrono::nanoseconds lease,
                             std::uint32_t limit, std::string_view cursor) {
  auto one = make_list(HEDWIG_STORAGE_CLAIM, states, limit, cursor);
  one->request.list.due_before = due_before;
  one->request.list.lease_until = in(lease);
  return one;
}

op_pointer store::make_stage(std::uint64_t size_hint) {
  auto one = make(HEDWIG_STORAGE_STAGE);
  one->request.stage = {sizeof(hedwig_stage_request), HEDWIG_STORAGE_STAGE, one.get(), size_hint};
  return one;
}

op_pointer store::make_append(std::uint64_t stage, std::string_view text) {
  auto one = make(HEDWIG_STORAGE_APPEND);
  one->bytes = text.size();
  if (!text.empty())
    one->slices.push_back(services().copy(text));
  one->request.append = {
      sizeof(hedwig_append_request), HEDWIG_STORAGE_APPEND, one.get(), stage, one->slices.data(), one->slices.size()};
  return one;
}

op_pointer store::make_discard(std::uint64_t stage) {
  auto one = make(HEDWIG_STORAGE_DISCARD);
  one->request.append = {sizeof(hedwig_append_request), HEDWIG_STORAGE_DISCARD, one.get(), stage, nullptr, 0};
  return one;
}

answer store::read_all(const hedwig_msg_id& id, const hedwig_storage_hint& hint) {
  answer all;
  do {
    auto one = make_message(HEDWIG_STORAGE_READ, id, hint);
    one->request.message.offset = all.body.size();
    auto got = run(one);
    all.status = got.status;
    all.error = got.error;
    all.body_size = got.body_size;
    all.body += got.body;
    if (got.body.empty())
      break;
  } while (all.body.size() < all.body_size);
  return all;
}

std::vector<entry_copy> store::list_all(std::uint32_t states, std::uint32_t limit, std::uint32_t flags,
                                        hedwig_time_ns due_before) {
  constexpr int pages_max = 100'000;
  std::vector<entry_copy> all;
  std::string cursor;
  for (int page = 0; page < pages_max; ++page) {
    auto one = make_list(HEDWIG_STORAGE_LIST, states, limit, cursor, flags);
    one->request.list.due_before = due_before;
    auto got = run(one);
    expect_status(got, HEDWIG_OK, rules::list_order, "LIST");
    all.insert(all.end(), got.entries.begin(), got.entries.end());
    cursor = got.cursor;
    if (cursor.empty())
      return all;
  }
  throw broken{rules::list_end, fmt::format("a walk had not ended after {} pages", pages_max)};
}

std::vector<entry_copy> store::claim_all(std::uint32_t states, hedwig_time_ns due_before,
                                         std::chrono::nanoseconds lease, std::uint32_t limit) {
  constexpr int pages_max = 100'000;
  std::vector<entry_copy> all;
  std::string cursor;
  for (int page = 0; page < pages_max; ++page) {
    auto left = limit - static_cast<std::uint32_t>(all.size());
    auto got = run(make_claim(states, due_before, lease, left, cursor));
    expect_status(got, HEDWIG_OK, rules::claim_order, "CLAIM");
    expect(got.entries.size() <= left, rules::list_page, "a page of {} entries, where {} was the limit",
           got.entries.size(), left);
    all.insert(all.end(), got.entries.begin(), got.entries.end());
    cursor = got.cursor;
    if (cursor.empty() || all.size() >= limit)
      return all;
  }
  throw broken{rules::list_end, fmt::format("a walk had not ended after {} pages", pages_max)};
}

store& open_store(context& run) {
  auto* made = new store{run}; // NOLINT: never destroyed
  made->open();
  return *made;
}

void expect_status(const answer& got, hedwig_status wanted, const rule& which, std::string_view asked) {
  expect(got.status == wanted, which, "{}: {} instead of {}{}{}", asked, name_of(got.status), name_of(wanted),
         got.error.empty() ? "" : ": ", got.error);
}

void expect_message(store& from, const wanted_message& wanted, const rule& which) {
  auto id = id_of(wanted.number);
  auto name = fmt::format("message {}", wanted.number);
  auto stat = from.stat(id);
  expect_status(stat, HEDWIG_OK, which, "STAT of " + name);
  auto& entry = stat.entries.at(0);
  expect(same(entry.id, id), which, "STAT of {} brings another id", name);
  expect(entry.state == wanted.state, which, "{} is in state {} instead of {}", name, entry.state, wanted.state);
  expect(entry.due == wanted.due, which, "{} is due at {} instead of {}", name, entry.due, wanted.due);
  expect(entry.revision == wanted.revision, which, "{} has revision {} instead of {}", name, entry.revision,
         wanted.revision);
  expect(entry.metadata == wanted.metadata, which, "metadata of {}: {}", name,
         difference(entry.metadata, wanted.metadata));
  expect(entry.body_size == wanted.body.size(), which, "{} has body_size {} instead of {}", name, entry.body_size,
         wanted.body.size());
  auto read = from.read_all(id, entry.hint);
  expect_status(read, HEDWIG_OK, which, "READ of " + name);
  expect(read.body == wanted.body, which, "body of {}: {}", name, difference(read.body, wanted.body));
}

} // namespace hedwig::check::storage
