// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "runtime/plugin/completion.hpp"
#include "runtime/plugin/op_table.hpp"

namespace hedwig::plugin {

/// Answers on their way to their sinks: one on_completions() a sink, in the order in which they were added.
class delivery {
public:
  void add(reply_to reply, result<outcome> value);
  /// Calls the sinks; empty afterwards.
  void send() noexcept;

private:
  struct group {
    std::shared_ptr<completion_sink> sink;
    std::vector<completion> done;
  };
  std::vector<group> groups_;
};

/// One answer at once.
void deliver(reply_to reply, result<outcome> value);

/// While it lives, an answer to `op` that this thread gives is kept here instead of going to the sink, and with it the
/// call and its slot, for another one.
class inline_answer {
public:
  inline_answer() noexcept;
  ~inline_answer();
  inline_answer(const inline_answer&) = delete;
  inline_answer& operator=(const inline_answer&) = delete;

  void expect(const hedwig_op* op) noexcept { op_ = op; }
  [[nodiscard]] std::optional<result<outcome>>& value() noexcept { return value_; }

  /// Null where the call has not ended on this thread.
  [[nodiscard]] std::unique_ptr<pending_op>& call() noexcept { return call_; }

  /// Who waits on this thread for an answer to `op`, or null.
  [[nodiscard]] static inline_answer* to(const hedwig_op* op) noexcept;
  void take(std::unique_ptr<pending_op> call) noexcept { call_ = std::move(call); }
  void answer(result<outcome> value) { value_ = std::move(value); }
  /// OK without a result. The caller sees to it that the call is settled.
  void pass() noexcept { passed_ = true; }
  [[nodiscard]] bool passed() const noexcept { return passed_; }

private:
  const hedwig_op* op_ = nullptr;
  inline_answer* outer_;
  std::unique_ptr<pending_op> call_;
  bool passed_ = false;
  std::optional<result<outcome>> value_;
};

/// Marks the thread as inside hedwig_host.complete(): plugin code is below on the stack and must not be called.
class completing_scope {
public:
  completing_scope() noexcept;
  ~completing_scope();
  completing_scope(const completing_scope&) = delete;
  completing_scope& operator=(const completing_scope&) = delete;
};
[[nodiscard]] bool completing() noexcept;

} // namespace hedwig::plugin
