// SPDX-License-Identifier: Apache-2.0
#include "actors/observed_actor.hpp"

namespace hedwig {

observed_actor::observed_actor(caf::actor_config& config, relay_context& context, const char* role,
                               const actor_place& place)
  : caf::event_based_actor{config}, context_{context}, role_{role}, node_{context.actors.add(role, place.label,
                                                                                             place.parent, address())} {
  node_->restarts.store(place.restarts, std::memory_order_relaxed);
  // At its end, not at its destruction: others may hold on to the handle of a dead actor for long.
  attach_functor([&context, node = node_](const caf::error&) { context.actors.remove(*node); });
  set_exception_handler([this](std::exception_ptr& failure) -> caf::error {
    try {
      std::rethrow_exception(failure);
    } catch (...) {
      report_current_exception();
    }
    return caf::sec::runtime_error;
  });
}

observed_actor::~observed_actor() { context_.actors.remove(*node_); }

void observed_actor::enqueue(caf::mailbox_element_ptr element, caf::execution_unit* unit) {
  node_->received.fetch_add(1, std::memory_order_relaxed);
  caf::event_based_actor::enqueue(std::move(element), unit);
}

caf::resumable::resume_result observed_actor::resume(caf::execution_unit* unit, std::size_t max_throughput) {
  auto node = node_; // the actor may die inside resume
  auto begin = std::chrono::steady_clock::now();
  auto outcome = caf::event_based_actor::resume(unit, max_throughput);
  auto spent = std::chrono::steady_clock::now() - begin;
  node->busy_nanoseconds.fetch_add(static_cast<std::uint64_t>(spent.count()), std::memory_order_relaxed);
  return outcome;
}

caf::invoke_message_result observed_actor::consume(caf::mailbox_element& element) {
  auto node = node_;
  auto outcome = caf::event_based_actor::consume(element);
  if (outcome != caf::invoke_message_result::skipped)
    node->handled.fetch_add(1, std::memory_order_relaxed);
  return outcome;
}

void observed_actor::report_current_exception() noexcept {
  try {
    throw;
  } catch (const std::exception& e) {
    context_.report_actor_failure(role_, node_->label, e.what());
  } catch (...) {
    context_.report_actor_failure(role_, node_->label, "an exception of unknown type");
  }
}

} // namespace hedwig
