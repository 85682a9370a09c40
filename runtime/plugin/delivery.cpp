// SPDX-License-Identifier: Apache-2.0
#include "runtime/plugin/delivery.hpp"

namespace hedwig::plugin {

namespace {
constinit thread_local inline_answer* waiting = nullptr;
constinit thread_local int completing_depth = 0;
} // namespace

void delivery::add(reply_to reply, result<outcome> value) {
  if (!reply.sink)
    return;
  // Nearly always one sink, and the last one is the likeliest.
  for (auto known = groups_.rbegin(); known != groups_.rend(); ++known) {
    if (known->sink == reply.sink) {
      known->done.push_back({reply.tag, std::move(value)});
      return;
    }
  }
  groups_.push_back({std::move(reply.sink), {}});
  groups_.back().done.push_back({reply.tag, std::move(value)});
}

void delivery::send() noexcept {
  for (auto& one : groups_)
    one.sink->on_completions(one.done);
  groups_.clear();
}

void deliver(reply_to reply, result<outcome> value) {
  delivery one;
  one.add(std::move(reply), std::move(value));
  one.send();
}

inline_answer::inline_answer() noexcept : outer_{waiting} { waiting = this; }
inline_answer::~inline_answer() { waiting = outer_; }

inline_answer* inline_answer::to(const hedwig_op* op) noexcept {
  return waiting != nullptr && op != nullptr && waiting->op_ == op ? waiting : nullptr;
}

completing_scope::completing_scope() noexcept { ++completing_depth; }
completing_scope::~completing_scope() { --completing_depth; }
bool completing() noexcept { return completing_depth > 0; }

} // namespace hedwig::plugin
