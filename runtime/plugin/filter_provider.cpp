// SPDX-License-Identifier: Apache-2.0
// Two ways through here: a filter that does not block is called on the caller's stack and its answer usually taken from
// there; the hooks of one that blocks go through a queue of the session, one after the other, on the instance's
// workers.
#include "runtime/plugin/filter_provider.hpp"

#include <atomic>
#include <mutex>
#include <vector>

#include "runtime/plugin/current_call.hpp"
#include "runtime/plugin/delivery.hpp"
#include "runtime/plugin/filter_op.hpp"
#include "runtime/plugin/host.hpp"
#include "runtime/plugin/op_table.hpp"
#include "runtime/plugin/table_copy.hpp"

namespace hedwig::plugin {

class session_op;

struct filter_session::core : std::enable_shared_from_this<core> {
  // What is known of the plugin's state of the session. Set and cleared one by one: a session that ends and a call that
  // is answered at that moment each see what the other left.
  enum flag : std::uint8_t {
    opened = 1,
    failed = 2, ///< open() did not succeed
    closed = 4,
    outstanding = 8, ///< a hook that the plugin owes an answer
    lost = 16,       ///< one was given up: what the plugin thinks of the session is unknown
    closing = 32,
  };

  ~core();

  std::shared_ptr<filter_provider> provider;
  std::shared_ptr<const session_shown> opening; ///< what open() sees
  void* state = nullptr;
  std::atomic<std::uint8_t> flags{0};

  // The last call that was answered at once, for the next one. The session's thread alone touches these.
  std::unique_ptr<session_op> spare;
  std::optional<op_table::kept_slot> slot;
  std::shared_ptr<const void> shown; ///< what the plugin looks at while it owes an answer

  std::mutex mutex;     ///< of the two below
  bool running = false; ///< a worker is at `jobs`
  std::vector<std::move_only_function<void()>> jobs;

  instance& owner() const { return *provider->owner(); }
  bool call(hook which, shown_here what, reply_to& reply, hook_answer& otherwise);
  bool call_here(hook which, shown_here what, reply_to& reply, hook_answer& otherwise);
  void call_on_worker(hook which, shown_here what, const reply_to& reply);
  result<void*> open_state();
  void reset();
  void close();
  void close_now();
  void settled(bool late) noexcept;
  bool enqueue(std::move_only_function<void()> job, bool always);
  void run_jobs();
};

namespace {

error unavailable(const instance& owner, const char* why) { return {HEDWIG_E_UNAVAILABLE, why, owner.name(), 0}; }

} // namespace

/// A hook of a session: tells the session when the plugin is through with it.
class session_op : public filter_op {
public:
  session_op(std::shared_ptr<filter_session::core> session, hook which, hook_argument what)
    : filter_op{which, session->provider->table(), std::move(what)}, session_{std::move(session)} {}
  void settled(bool late) noexcept override { session_->settled(late); }

private:
  std::shared_ptr<filter_session::core> session_;
};

filter_session::core::~core() {
  if (slot)
    owner().services().ops().give_back(*slot);
}

bool filter_session::core::enqueue(std::move_only_function<void()> job, bool always) {
  {
    std::lock_guard lock{mutex};
    jobs.push_back(std::move(job));
    if (std::exchange(running, true))
      return true;
  }
  if (owner().run_on_worker([self = shared_from_this()] { self->run_jobs(); }, always))
    return true;
  std::lock_guard lock{mutex};
  running = false;
  jobs.pop_back();
  return false;
}

void filter_session::core::run_jobs() {
  for (;;) {
    std::unique_lock lock{mutex};
    if (jobs.empty()) {
      running = false;
      return;
    }
    auto job = std::move(jobs.front());
    jobs.erase(jobs.begin());
    lock.unlock();
    job();
  }
}

result<void*> filter_session::core::open_state() {
  auto now = flags.load(std::memory_order_acquire);
  if ((now & (opened | closed)) == opened)
    return state;
  if ((now & (failed | closed)) != 0)
    return std::unexpected{unavailable(owner(), "the filter could not open the session")};
  auto& table = provider->table();
  hedwig_status status = HEDWIG_OK;
  if (table.open == nullptr) {
    state = owner().self();
  } else {
    call_scope scope{owner().name().c_str(), "open"};
    status = table.open(owner().self(), &opening->raw, &state);
  }
  flags.fetch_or(status == HEDWIG_OK ? opened : failed, std::memory_order_acq_rel);
  if (status == HEDWIG_OK)
    return state;
  return std::unexpected{unavailable(owner(), "the filter could not open the session")};
}

bool filter_session::core::call(hook which, shown_here what, reply_to& reply, hook_answer& otherwise) {
  if (!provider->wants(which))
    return true;
  if (auto why = owner().refusal(static_cast<std::uint8_t>(which))) {
    otherwise = std::unexpected{std::move(*why)};
    return false;
  }
  // Only this thread sets any of these while no call is outstanding.
  auto now = flags.load(std::memory_order_acquire);
  if ((now & (lost | outstanding | failed)) != 0) {
    otherwise = std::unexpected{unavailable(owner(), (now & failed) != 0 ? "the filter could not open the session"
                                                                         : "an earlier call was given up")};
    return false;
  }
  flags.store(now | outstanding, std::memory_order_release);
  if (!owner().blocking())
    return call_here(which, what, reply, otherwise);
  call_on_worker(which, what, reply);
  return false;
}

bool filter_session::core::call_here(hook which, shown_here what, reply_to& reply, hook_answer& otherwise) {
  shown.reset();
  auto op = std::move(spare);
  if (op)
    op->show(which, what.raw);
  else
    op = std::make_unique<session_op>(shared_from_this(), which, hook_argument{nullptr, what.raw});
  if (op->reply.sink != reply.sink)
    op->reply.sink = reply.sink;
  op->reply.tag = reply.tag;
  op->reply.timeout = reply.timeout;
  op->reply.now = reply.now;
  auto ran = run_hook(
      owner(), std::move(op), slot, [](void* me) { return static_cast<core*>(me)->open_state(); }, this);
  if (ran.call) {
    spare.reset(static_cast<session_op*>(ran.call.release()));
    reply.now = spare->ended;
  } else {
    shown = what.owner;
    reply.now = {};
  }
  if (ran.proceeds)
    flags.store(flags.load(std::memory_order_relaxed) & static_cast<std::uint8_t>(~outstanding),
                std::memory_order_release);
  otherwise = std::move(ran.answer);
  return ran.proceeds;
}

void filter_session::core::call_on_worker(hook which, shown_here what, const reply_to& reply) {
  auto op = std::make_unique<session_op>(shared_from_this(), which, hook_argument{what.owner, what.raw});
  op->reply = reply;
  const auto* name = op->name;
  auto* handle = owner().open(std::move(op));
  if (handle == nullptr)
    return;
  auto job = [self = shared_from_this(), handle, name] {
    auto& asked = self->owner();
    auto* hook_call = static_cast<filter_op*>(asked.begin(handle));
    if (hook_call == nullptr)
      return;
    auto opened = self->open_state();
    if (!opened)
      return asked.refuse(handle, std::move(opened.error()));
    call_scope scope{asked.name().c_str(), name};
    hook_call->make(*opened, handle);
  };
  if (!enqueue(std::move(job), false))
    owner().refuse(handle, {HEDWIG_E_BUSY, "too many calls wait for a worker", owner().name(), 0});
}

void filter_session::core::settled(bool late) noexcept {
  if (late)
    flags.fetch_or(lost, std::memory_order_acq_rel);
  auto before = flags.fetch_and(static_cast<std::uint8_t>(~outstanding), std::memory_order_acq_rel);
  if ((before & closing) == 0)
    return;
  if (owner().blocking())
    enqueue([self = shared_from_this()] { self->close_now(); }, true);
  else // the plugin may be below us on the stack
    owner().services().post([self = shared_from_this()] { self->close_now(); });
}

void filter_session::core::reset() {
  auto now = flags.load(std::memory_order_acquire);
  if ((now & outstanding) == 0)
    shown.reset(); // perhaps a message's memory
  auto hook = provider->table().on_reset;
  if (hook == nullptr)
    return;
  if ((now & outstanding) != 0)
    flags.fetch_or(lost, std::memory_order_acq_rel);
  if ((now & (outstanding | lost | failed | closed)) != 0 || (now & opened) == 0)
    return;
  auto work = [self = shared_from_this(), hook] {
    call_scope scope{self->owner().name().c_str(), "on_reset"};
    hook(self->state);
  };
  if (owner().blocking())
    enqueue(std::move(work), true);
  else
    work();
}

void filter_session::core::close() {
  auto self = shared_from_this(); // the spare call keeps the session, too
  spare.reset();
  if ((flags.fetch_or(closing, std::memory_order_acq_rel) & outstanding) != 0)
    return; // settled() goes on
  if (owner().blocking())
    enqueue([self] { self->close_now(); }, true);
  else
    close_now();
}

void filter_session::core::close_now() {
  if ((flags.fetch_or(closed, std::memory_order_acq_rel) & (opened | closed)) != opened)
    return;
  auto& table = provider->table();
  if (table.close == nullptr || table.open == nullptr)
    return;
  call_scope scope{owner().name().c_str(), "close"};
  table.close(owner().self(), state);
}

result<std::shared_ptr<filter_provider>> filter_provider::make(std::shared_ptr<instance> owner) {
  if (owner->provider().interface_id() != HEDWIG_FILTER)
    return std::unexpected{error{HEDWIG_E_INVALID, "is not a filter provider", owner->name(), 0}};
  return std::shared_ptr<filter_provider>{new filter_provider{std::move(owner)}};
}

filter_provider::filter_provider(std::shared_ptr<instance> owner)
  : owner_{std::move(owner)}, table_{copy_growing<hedwig_filter>(owner_->provider().provider->interface)},
    wanted_{table_.on_connect != nullptr, table_.on_helo != nullptr,      table_.on_auth != nullptr,
            table_.on_mail != nullptr,    table_.on_recipient != nullptr, table_.on_header != nullptr,
            table_.on_body != nullptr,    table_.on_end != nullptr,       table_.on_delivery != nullptr} {}

std::unique_ptr<filter_session> filter_provider::open(filter_session_view session) {
  return open_shown(std::make_shared<const session_shown>(std::move(session)));
}

std::unique_ptr<filter_session> filter_provider::open_shown(std::shared_ptr<const session_shown> session) {
  auto state = std::make_shared<filter_session::core>();
  state->provider = shared_from_this();
  state->opening = std::move(session);
  return std::unique_ptr<filter_session>{new filter_session{std::move(state)}};
}

hook_answer filter_provider::on_delivery(filter_delivery delivery, reply_to reply) {
  if (!wants(hook::delivery))
    return result<verdict>{verdict{}};
  if (auto why = owner_->refusal(static_cast<std::uint8_t>(hook::delivery)))
    return std::unexpected{std::move(*why)};
  auto op = std::make_unique<filter_op>(hook::delivery, table_, shown(std::move(delivery)));
  op->keep = shared_from_this();
  op->reply = std::move(reply);
  if (!owner_->blocking()) {
    std::optional<op_table::kept_slot> slot;
    auto ran = run_hook(
        *owner_, std::move(op), slot, [](void* me) -> result<void*> { return static_cast<instance*>(me)->self(); },
        owner_.get());
    if (slot)
      owner_->services().ops().give_back(*slot);
    return ran.proceeds ? result<verdict>{verdict{}} : std::move(ran.answer);
  }
  owner_->submit(std::move(op), [self = owner_->self()](hedwig_op* handle, pending_op& call) {
    static_cast<filter_op&>(call).make(self, handle);
  });
  return std::nullopt;
}

filter_session::filter_session(std::shared_ptr<core> state) : core_{std::move(state)} {}
filter_session::~filter_session() { core_->close(); }

bool filter_session::passes(hook which, shown_here what, reply_to& reply, hook_answer& otherwise) {
  return core_->call(which, what, reply, otherwise);
}
hook_answer filter_session::ask(hook which, const hook_argument& what, const reply_to& reply) {
  hook_answer otherwise;
  auto to = reply;
  return passes(which, {what.owner, what.raw}, to, otherwise) ? result<verdict>{verdict{}} : std::move(otherwise);
}
hook_answer filter_session::on_connect(filter_session_view session, const reply_to& reply) {
  return ask(hook::connect, shown(std::move(session)), reply);
}
hook_answer filter_session::on_helo(filter_session_view session, const reply_to& reply) {
  return ask(hook::helo, shown(std::move(session)), reply);
}
hook_answer filter_session::on_auth(filter_session_view session, const reply_to& reply) {
  return ask(hook::auth, shown(std::move(session)), reply);
}
hook_answer filter_session::on_mail(filter_address sender, const reply_to& reply) {
  return ask(hook::mail, shown(std::move(sender)), reply);
}
hook_answer filter_session::on_recipient(filter_address recipient, const reply_to& reply) {
  return ask(hook::recipient, shown(std::move(recipient)), reply);
}
hook_answer filter_session::on_header(filter_header header, const reply_to& reply) {
  return ask(hook::header, shown(std::move(header)), reply);
}
hook_answer filter_session::on_body(slice chunk, const reply_to& reply) {
  return ask(hook::body, shown(std::move(chunk)), reply);
}
hook_answer filter_session::on_end(filter_message message, const reply_to& reply) {
  return ask(hook::end, shown(std::move(message)), reply);
}
void filter_session::on_reset() { core_->reset(); }

} // namespace hedwig::plugin
