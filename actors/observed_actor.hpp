// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "actors/context.hpp"
#include "actors/directory.hpp"

#include <caf/all.hpp>

#include <memory>
#include <string>
#include <string_view>

namespace hedwig {

/// Where an actor stands in the tree that the console shows.
struct actor_place {
  std::uint64_t parent = 0;
  std::string label;
  std::uint32_t restarts = 0; ///< of those who had the place before
};

/// The base of every actor: counts what it received and handled and how long that took, and reports an exception that
/// leaves a handler before CAF ends the actor for it. CAF's own profiler is compiled out of the packaged library.
class observed_actor : public caf::event_based_actor {
public:
  observed_actor(caf::actor_config& config, relay_context& context, const char* role, const actor_place& place);
  ~observed_actor() override;

  const char* name() const override { return role_; }
  void enqueue(caf::mailbox_element_ptr element, caf::execution_unit* unit) override;
  caf::resumable::resume_result resume(caf::execution_unit* unit, std::size_t max_throughput) override;
  caf::invoke_message_result consume(caf::mailbox_element& element) override;

  [[nodiscard]] actor_node& node() noexcept { return *node_; }
  /// The place of a child of this actor.
  [[nodiscard]] actor_place child(std::string label = {}) const { return {node_->id, std::move(label), 0}; }

protected:
  /// One word for the console; must have static storage.
  void set_state(const char* word) noexcept { node_->state.store(word, std::memory_order_relaxed); }
  [[nodiscard]] relay_context& relay() const noexcept { return context_; }
  /// Logs the exception in flight with the actor's name; call inside a catch block only.
  void report_current_exception() noexcept;

private:
  relay_context& context_;
  const char* role_;
  std::shared_ptr<actor_node> node_;
};

} // namespace hedwig
