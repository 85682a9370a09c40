// SPDX-License-Identifier: Apache-2.0
#include "actors/io_unit.hpp"

#include "actors/pinned_actor.hpp"

namespace hedwig {

namespace {

/// Messages that one actor handles before the others on its loop have their turn.
constexpr std::size_t messages_per_turn = 64;

} // namespace

io_unit::io_unit(caf::actor_system& system, net::loop& loop) : caf::execution_unit{&system}, loop_{loop} {
  loop_.set_client(this);
}

io_unit::~io_unit() {
  loop_.set_client(nullptr);
  for (auto* job : remote_)
    caf::intrusive_ptr_release(job);
  for (auto* job : local_)
    caf::intrusive_ptr_release(job);
  bury();
}

void io_unit::exec_later(caf::resumable* job) {
  if (loop_.in_loop_thread()) {
    local_.push_back(job);
    return;
  }
  bool first = false;
  {
    std::lock_guard guard{mutex_};
    first = remote_.empty() && tasks_.empty();
    remote_.push_back(job);
  }
  if (first)
    loop_.wake();
}

void io_unit::post(std::function<void()> task) {
  {
    std::lock_guard guard{mutex_};
    tasks_.push_back(std::move(task));
  }
  loop_.wake();
}

bool io_unit::run_ready() {
  std::vector<std::function<void()>> tasks;
  batch_.swap(local_);
  {
    std::lock_guard guard{mutex_};
    batch_.insert(batch_.end(), remote_.begin(), remote_.end());
    remote_.clear();
    tasks.swap(tasks_);
  }
  for (auto& task : tasks)
    task();
  for (auto* job : batch_)
    run(*job);
  batch_.clear();
  bury();
  return !local_.empty();
}

void io_unit::run(caf::resumable& job) {
  switch (job.resume(this, messages_per_turn)) {
  case caf::resumable::resume_later:
    local_.push_back(&job);
    break;
  default: // awaiting_message or done; the actor system never asks a pinned unit to shut down
    caf::intrusive_ptr_release(&job);
  }
}

void io_unit::attach(pinned_actor& actor) {
  caf::intrusive_ptr_add_ref(actor.ctrl());
  actor.unit_index_ = attached_.size();
  attached_.push_back(&actor);
}

void io_unit::detach(pinned_actor& actor) {
  auto index = actor.unit_index_;
  attached_[index] = attached_.back();
  attached_[index]->unit_index_ = index;
  attached_.pop_back();
  graveyard_.push_back(&actor);
}

void io_unit::end_all() {
  for (auto* actor : attached_)
    caf::anon_send_exit(actor->address(), caf::exit_reason::user_shutdown);
}

void io_unit::bury() {
  std::vector<pinned_actor*> dead;
  dead.swap(graveyard_);
  for (auto* actor : dead)
    caf::intrusive_ptr_release(actor->ctrl());
}

} // namespace hedwig
