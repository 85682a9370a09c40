// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <variant>

#include "runtime/base/clock.hpp"
#include "runtime/base/error.hpp"
#include "runtime/plugin/auth_values.hpp"
#include "runtime/plugin/filter_values.hpp"
#include "runtime/plugin/storage_values.hpp"

namespace hedwig::plugin {

/// What a completed call gave. monostate: the call has no result (APPEND, DISCARD, REMOVE, start, stop, reload).
using outcome = std::variant<std::monostate, storage_stage, storage_commit, storage_entry, storage_listing,
                             storage_body, storage_statistics, identity, scram_secret, verdict>;

/// The end of one call. Exactly one reaches the sink for each call made with it.
struct completion {
  std::uint64_t tag = 0; ///< what the caller gave with reply_to
  result<outcome> value;
};

/// The result as the type the call is documented to give; a provider that failed to give it is reported as an error
/// before, so a wrong T is a bug of ours and panics.
template <class T>
[[nodiscard]] T& as(outcome& value) {
  if (auto* held = std::get_if<T>(&value))
    return *held;
  panic("a plugin call was read as the wrong type");
}

/// Where completions go. All completions of one hedwig_host.complete() that belong to one sink arrive in one call, in
/// the plugin's order; the elements may be moved from.
/// Called on any thread, also inside the call that made the request: only hand over (post a message, set a promise);
/// never call a plugin face from here.
class completion_sink {
public:
  virtual ~completion_sink() = default;
  virtual void on_completions(std::span<completion> done) noexcept = 0;
};

/// Where one call's completion goes. The sink lives until then at least.
struct reply_to {
  std::shared_ptr<completion_sink> sink;
  std::uint64_t tag = 0;
  /// How long the call may take; zero: the instance's call_timeout. Past it the sink gets TIMEOUT and a later answer is
  /// dropped and counted.
  std::chrono::nanoseconds timeout{0};
  /// When the call is made, where the caller has just looked at the clock; zero: the host looks.
  steady_time now{};
};

} // namespace hedwig::plugin
