// SPDX-License-Identifier: Apache-2.0
#include "actors/context.hpp"

#include "runtime/telemetry/log.hpp"

namespace hedwig {

std::uint64_t relay_context::next_random() noexcept {
  // SplitMix64: neighbouring states give unrelated seeds.
  auto z = seed_.fetch_add(0x9e3779b97f4a7c15u, std::memory_order_relaxed);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

void relay_context::report_actor_failure(std::string_view role, std::string_view label,
                                         std::string_view what) noexcept {
  telemetry::log(telemetry::level::error, telemetry::component::supervisor,
                 {"actor.failed", "an actor ended by an exception; its supervisor knows what follows"},
                 {{"actor", role}, {"label", label}, {"error", what}});
}

} // namespace hedwig
