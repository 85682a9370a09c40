// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "actors/messages.hpp"

#include <caf/send.hpp>

namespace hedwig {

/// Posts the answers of plugins to an actor's mailbox, one message a group. Keeps the actor alive while calls are open.
class mailbox_sink final : public plugin::completion_sink {
public:
  explicit mailbox_sink(caf::actor owner) : owner_{std::move(owner)} {}

  void on_completions(std::span<plugin::completion> done) noexcept override {
    plugin_answers answers;
    answers.done.reserve(done.size());
    for (auto& one : done)
      answers.done.push_back(std::move(one));
    caf::anon_send(owner_, std::move(answers));
  }

private:
  caf::actor owner_;
};

} // namespace hedwig
