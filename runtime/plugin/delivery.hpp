// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <vector>

#include "runtime/plugin/completion.hpp"

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

/// While it lives, an answer to `op` that this thread gives is kept here instead of going to the sink.
class inline_answer {
public:
  inline_answer() noexcept;
  ~inline_answer();
  inline_answer(const inline_answer&) = delete;
  inline_answer& operator=(const inline_answer&) = delete;

  void expect(const hedwig_op* op) noexcept { op_ = op; }
  [[nodiscard]] std::optional<result<outcome>>& value() noexcept { return value_; }

  /// True: `value` was taken.
  static bool offer(const hedwig_op* op, result<outcome>& value);

private:
  const hedwig_op* op_ = nullptr;
  inline_answer* outer_;
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
