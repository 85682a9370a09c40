// SPDX-License-Identifier: Apache-2.0
// Two ways through here: a filter that does not block is called on the caller's stack and its answer usually taken from
// there; the hooks of one that blocks go through a queue of the session, one after the other, on the instance's
// workers.
#include "runtime/plugin/filter_provider.hpp"

#include <deque>
#include <mutex>

#include "runtime/plugin/current_call.hpp"
#include "runtime/plugin/delivery.hpp"
#include "runtime/plugin/filter_op.hpp"
#include "runtime/plugin/instance_host.hpp"
#include "runtime/plugin/table_copy.hpp"

namespace hedwig::plugin {

struct filter_session::core : std::enable_shared_from_this<core> {
  enum class state_of { unopened, open, failed, closed };

  std::shared_ptr<filter_provider> provider;
  session_shown opening; ///< what open() sees
  void* state = nullptr;

  std::mutex mutex;
  state_of phase = state_of::unopened;
  bool outstanding = false; ///< a hook that the plugin owes an answer
  bool lost = false;        ///< one was given up: what the plugin thinks of the session is unknown
  bool closing = false;
  bool running = false; ///< a worker is at `jobs`
  std::deque<std::move_only_function<void()>> jobs;

  instance& owner() const { return *provider->owner(); }
  hook_answer call(hook which, hook_argument what, reply_to reply);
  hook_answer call_here(std::unique_ptr<filter_op> op);
  hook_answer call_on_worker(std::unique_ptr<filter_op> op);
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

/// A hook of a session: tells the session when the plugin is through with it.
class session_op : public filter_op {
public:
  using filter_op::filter_op;
  void settled(bool late) noexcept override {
    if (session)
      session->settled(late);
  }
  std::shared_ptr<filter_session::core> session;
};

} // namespace

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
    jobs.pop_front();
    lock.unlock();
    job();
  }
}

result<void*> filter_session::core::open_state() {
  {
    std::lock_guard lock{mutex};
    if (phase == state_of::open)
      return state;
    if (phase != state_of::unopened)
      return std::unexpected{unavailable(owner(), "the filter could not open the session")};
  }
  auto& table = provider->table();
  hedwig_status status = HEDWIG_OK;
  if (table.open == nullptr) {
    state = owner().self();
  } else {
    call_scope scope{owner().name().c_str(), "open"};
    status = table.open(owner().self(), &opening.raw, &state);
  }
  std::lock_guard lock{mutex};
  phase = status == HEDWIG_OK ? state_of::open : state_of::failed;
  if (status == HEDWIG_OK)
    return state;
  return std::unexpected{unavailable(owner(), "the filter could not open the session")};
}

hook_answer filter_session::core::call(hook which, hook_argument what, reply_to reply) {
  if (!provider->wants(which))
    return result<verdict>{verdict{}};
  if (auto why = owner().refusal(static_cast<std::uint8_t>(which)))
    return std::unexpected{std::move(*why)};
  {
    std::lock_guard lock{mutex};
    if (lost || outstanding || phase == state_of::failed)
      return std::unexpected{unavailable(owner(), phase == state_of::failed ? "the filter could not open the session"
                                                                            : "an earlier call was given up")};
    outstanding = true;
  }
  auto op = std::make_unique<session_op>(which, provider->table(), std::move(what));
  op->reply = std::move(reply);
  op->session = shared_from_this();
  return owner().blocking() ? call_on_worker(std::move(op)) : call_here(std::move(op));
}

hook_answer filter_session::core::call_here(std::unique_ptr<filter_op> op) {
  return run_hook(
      owner(), std::move(op), [](void* me) { return static_cast<core*>(me)->open_state(); }, this);
}

hook_answer filter_session::core::call_on_worker(std::unique_ptr<filter_op> op) {
  const auto* name = op->name;
  auto* handle = owner().open(std::move(op));
  if (handle == nullptr)
    return std::nullopt;
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
  return std::nullopt;
}

void filter_session::core::settled(bool late) noexcept {
  bool close_here = false;
  {
    std::lock_guard lock{mutex};
    outstanding = false;
    lost = lost || late;
    close_here = closing;
  }
  if (close_here && owner().blocking())
    enqueue([self = shared_from_this()] { self->close_now(); }, true);
  else if (close_here) // the plugin may be below us on the stack
    owner().services().post([self = shared_from_this()] { self->close_now(); });
}

void filter_session::core::reset() {
  auto hook = provider->table().on_reset;
  if (hook == nullptr)
    return;
  {
    std::lock_guard lock{mutex};
    if (outstanding)
      lost = true;
    if (lost || phase != state_of::open)
      return;
  }
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
  {
    std::lock_guard lock{mutex};
    closing = true;
    if (outstanding)
      return; // settled() goes on
  }
  if (owner().blocking())
    enqueue([self = shared_from_this()] { self->close_now(); }, true);
  else
    close_now();
}

void filter_session::core::close_now() {
  {
    std::lock_guard lock{mutex};
    if (std::exchange(phase, state_of::closed) != state_of::open)
      return;
  }
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
  auto state = std::make_shared<filter_session::core>();
  state->provider = shared_from_this();
  state->opening.assign(std::move(session));
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
  if (!owner_->blocking())
    return run_hook(
        *owner_, std::move(op), [](void* me) -> result<void*> { return static_cast<instance*>(me)->self(); },
        owner_.get());
  owner_->submit(std::move(op), [self = owner_->self()](hedwig_op* handle, pending_op& call) {
    static_cast<filter_op&>(call).make(self, handle);
  });
  return std::nullopt;
}

filter_session::filter_session(std::shared_ptr<core> state) : core_{std::move(state)} {}
filter_session::~filter_session() { core_->close(); }

hook_answer filter_session::ask(hook which, hook_argument what, reply_to reply) {
  return core_->call(which, std::move(what), std::move(reply));
}
hook_answer filter_session::on_connect(filter_session_view session, reply_to reply) {
  return ask(hook::connect, shown(std::move(session)), std::move(reply));
}
hook_answer filter_session::on_helo(filter_session_view session, reply_to reply) {
  return ask(hook::helo, shown(std::move(session)), std::move(reply));
}
hook_answer filter_session::on_auth(filter_session_view session, reply_to reply) {
  return ask(hook::auth, shown(std::move(session)), std::move(reply));
}
hook_answer filter_session::on_mail(filter_address sender, reply_to reply) {
  return ask(hook::mail, shown(std::move(sender)), std::move(reply));
}
hook_answer filter_session::on_recipient(filter_address recipient, reply_to reply) {
  return ask(hook::recipient, shown(std::move(recipient)), std::move(reply));
}
hook_answer filter_session::on_header(filter_header header, reply_to reply) {
  return ask(hook::header, shown(std::move(header)), std::move(reply));
}
hook_answer filter_session::on_body(slice chunk, reply_to reply) {
  return ask(hook::body, shown(std::move(chunk)), std::move(reply));
}
hook_answer filter_session::on_end(filter_message message, reply_to reply) {
  return ask(hook::end, shown(std::move(message)), std::move(reply));
}
void filter_session::on_reset() { core_->reset(); }

} // namespace hedwig::plugin
