// SPDX-License-Identifier: Apache-2.0
// One request's way: open (deadline runs) → queue → group under the limits → submit → completion → settled.
#include "runtime/plugin/storage_client.hpp"

#include <atomic>
#include <deque>
#include <mutex>

#include "runtime/plugin/current_call.hpp"
#include "runtime/plugin/delivery.hpp"
#include "runtime/plugin/instance_host.hpp"
#include "runtime/plugin/op_table.hpp"
#include "runtime/plugin/storage_op.hpp"
#include "runtime/plugin/table_copy.hpp"
#include "runtime/plugin/timer_queue.hpp"

namespace hedwig::plugin {

struct storage_client::core : storage_op_owner, std::enable_shared_from_this<core> {
  struct queued {
    hedwig_op* handle;
    storage_op* op;
    std::uint64_t bytes;
  };

  std::shared_ptr<instance> owner;
  hedwig_storage table{};
  storage_limits limits;

  mutable std::mutex mutex;
  std::deque<queued> queue;
  std::size_t in_flight = 0;
  std::uint64_t in_flight_bytes = 0;
  std::size_t writes = 0; ///< of those in flight
  /// When the store last took a write or answered one, by the steady clock in nanoseconds; 0: it has none.
  std::atomic<std::int64_t> moved{0};
  bool pumping = false;
  int corked = 0;

  void enqueue(std::unique_ptr<storage_op> op, const char* call, reply_to reply);
  void pump();
  void pump_all();
  std::vector<queued> take_group();
  bool fits(const queued& next) const;
  void settled(const storage_op& op) noexcept override;
  std::int64_t steady_now() const noexcept { return owner->services().time().steady().time_since_epoch().count(); }
  void drop(std::uint64_t stage) noexcept override;
  void drop_later(std::uint64_t stage);
};

void storage_client::core::enqueue(std::unique_ptr<storage_op> op, const char* call, reply_to reply) {
  op->name = call;
  op->reply = std::move(reply);
  op->client = shared_from_this();
  auto* raw = op.get();
  auto bytes = op->bytes();
  auto* handle = owner->open(std::move(op));
  if (handle == nullptr)
    return;
  raw->set_handle(handle);
  std::unique_lock lock{mutex};
  if (queue.size() >= pending_max) {
    lock.unlock();
    return owner->refuse(handle, {HEDWIG_E_BUSY, "too many requests wait for the store", owner->name(), 0});
  }
  queue.push_back({handle, raw, bytes});
  lock.unlock();
  pump();
}

bool storage_client::core::fits(const queued& next) const {
  if (in_flight == 0)
    return true;
  return in_flight < limits.in_flight &&
         (limits.in_flight_bytes == 0 || in_flight_bytes + next.bytes <= limits.in_flight_bytes);
}

void storage_client::core::pump() {
  {
    std::lock_guard lock{mutex};
    if (pumping || corked > 0 || queue.empty() || !fits(queue.front()))
      return;
    pumping = true;
  }
  auto work = [self = shared_from_this()] { self->pump_all(); };
  if (owner->blocking())
    owner->run_on_worker(std::move(work), true);
  else if (completing())
    owner->services().post(std::move(work)); // the store is below us on the stack
  else
    pump_all();
}

std::vector<storage_client::core::queued> storage_client::core::take_group() {
  std::vector<queued> group;
  std::lock_guard lock{mutex};
  while (corked == 0 && !queue.empty() && group.size() < limits.batch && fits(queue.front())) {
    auto next = queue.front();
    queue.pop_front();
    next.op->submitted = true;
    ++in_flight;
    in_flight_bytes += next.bytes;
    if (next.op->is_write() && writes++ == 0)
      moved = steady_now();
    group.push_back(next);
  }
  pumping = !group.empty();
  return group;
}

void storage_client::core::pump_all() {
  std::vector<const hedwig_storage_request*> requests;
  for (auto group = take_group(); !group.empty(); group = take_group()) {
    requests.clear();
    for (auto& one : group) {
      if (owner->begin(one.handle) != nullptr)
        requests.push_back(one.op->request());
    }
    if (requests.empty())
      continue;
    call_scope scope{owner->name().c_str(), "submit"};
    table.submit(owner->self(), requests.data(), requests.size());
  }
}

void storage_client::core::settled(const storage_op& op) noexcept {
  {
    std::lock_guard lock{mutex};
    --in_flight;
    in_flight_bytes -= op.bytes();
    if (op.is_write())
      moved = --writes > 0 ? steady_now() : 0;
  }
  pump();
}

namespace {

constexpr std::chrono::seconds drop_retry_delay{1};

} // namespace

class storage_client::dropped_stage : public completion_sink {
public:
  dropped_stage(std::weak_ptr<core> client, std::uint64_t stage) : client_{std::move(client)}, stage_{stage} {}
  void on_completions(std::span<completion> done) noexcept override {
    auto& value = done.front().value;
    if (auto client = client_.lock(); client && !value && is_momentary(value.error().status))
      client->drop_later(stage_);
  }

private:
  std::weak_ptr<core> client_;
  std::uint64_t stage_;
};

void storage_client::core::drop(std::uint64_t stage) noexcept {
  enqueue(make_append_op(HEDWIG_STORAGE_DISCARD, stage, {}), "discard",
          {std::make_shared<dropped_stage>(weak_from_this(), stage), 0, {}});
}

void storage_client::core::drop_later(std::uint64_t stage) {
  auto& services = owner->services();
  auto again = [self = weak_from_this(), stage] {
    if (auto client = self.lock())
      client->drop(stage);
  };
  // 0: too many timers; then the stage goes when the store is started again.
  static_cast<void>(services.timers().start(services.time().steady() + drop_retry_delay, this, std::move(again)));
  services.wake();
}

result<std::shared_ptr<storage_client>> storage_client::make(std::shared_ptr<instance> owner) {
  if (owner->provider().interface_id() != HEDWIG_STORAGE)
    return std::unexpected{error{HEDWIG_E_INVALID, "is not a storage provider", owner->name(), 0}};
  auto state = std::make_shared<core>();
  state->table = copy_growing<hedwig_storage>(owner->provider().provider->interface);
  if (state->table.submit == nullptr)
    return std::unexpected{error{HEDWIG_E_INVALID, "the store has no submit()", owner->name(), 0}};
  if (state->table.limits != nullptr) {
    if (const auto* declared = state->table.limits(owner->self())) {
      auto limits = copy_growing<hedwig_storage_limits>(declared);
      state->limits = {limits.flags, std::max(limits.in_flight, 1U), std::max(limits.batch, 1U), limits.in_flight_bytes,
                       limits.body_size_max};
    }
  }
  state->owner = std::move(owner);
  return std::shared_ptr<storage_client>{new storage_client{std::move(state)}};
}

storage_client::storage_client(std::shared_ptr<core> state) : core_{std::move(state)} {}
storage_client::~storage_client() = default;

void storage_client::stage(std::uint64_t size_hint, reply_to reply) {
  core_->enqueue(make_stage_op(size_hint), "stage", std::move(reply));
}
void storage_client::append(std::uint64_t stage, rope chunk, reply_to reply) {
  core_->enqueue(make_append_op(HEDWIG_STORAGE_APPEND, stage, std::move(chunk)), "append", std::move(reply));
}
void storage_client::discard(std::uint64_t stage, reply_to reply) {
  core_->enqueue(make_append_op(HEDWIG_STORAGE_DISCARD, stage, {}), "discard", std::move(reply));
}
void storage_client::drop(std::uint64_t stage) { core_->drop(stage); }
void storage_client::put(put_request request, reply_to reply) {
  core_->enqueue(make_put_op(std::move(request)), "put", std::move(reply));
}
void storage_client::move(move_request request, reply_to reply) {
  core_->enqueue(make_move_op(std::move(request)), "move", std::move(reply));
}
void storage_client::remove(remove_request request, reply_to reply) {
  core_->enqueue(make_remove_op(request), "remove", std::move(reply));
}
void storage_client::stat(message_id id, hedwig_storage_hint hint, reply_to reply) {
  core_->enqueue(make_stat_op(id, hint), "stat", std::move(reply));
}
void storage_client::read(read_request request, reply_to reply) {
  core_->enqueue(make_read_op(request), "read", std::move(reply));
}
void storage_client::list(list_request request, reply_to reply) {
  core_->enqueue(make_list_op(std::move(request)), "list", std::move(reply));
}
void storage_client::claim(claim_request request, reply_to reply) {
  core_->enqueue(make_claim_op(std::move(request)), "claim", std::move(reply));
}
void storage_client::stats(reply_to reply) { core_->enqueue(make_stats_op(), "stats", std::move(reply)); }

storage_client::cork::cork(storage_client& client) : client_{client} {
  std::lock_guard lock{client_.core_->mutex};
  ++client_.core_->corked;
}

storage_client::cork::~cork() {
  {
    std::lock_guard lock{client_.core_->mutex};
    --client_.core_->corked;
  }
  client_.core_->pump();
}

hedwig_status storage_client::health() const noexcept {
  auto said = core_->table.health == nullptr ? HEDWIG_OK : core_->table.health(core_->owner->self());
  if (said != HEDWIG_OK)
    return said;
  auto moved = core_->moved.load(std::memory_order_relaxed);
  return moved != 0 && core_->steady_now() - moved >= std::chrono::nanoseconds{hang_after}.count() ? HEDWIG_E_TIMEOUT
                                                                                                   : HEDWIG_OK;
}
const storage_limits& storage_client::limits() const noexcept { return core_->limits; }
std::size_t storage_client::waiting() const noexcept {
  std::lock_guard lock{core_->mutex};
  return core_->queue.size();
}
std::size_t storage_client::in_flight() const noexcept {
  std::lock_guard lock{core_->mutex};
  return core_->in_flight;
}
const std::shared_ptr<instance>& storage_client::owner() const noexcept { return core_->owner; }

} // namespace hedwig::plugin
