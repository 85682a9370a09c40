// SPDX-License-Identifier: Apache-2.0
#include "actors/retry_timer.hpp"

#include "runtime/telemetry/log.hpp"

#include <algorithm>

namespace hedwig {

namespace {

/// The store is looked at this often in any case: for what the window had no room for, for what an earlier run left,
/// and because due times are wall-clock time, which may jump.
constexpr auto look_interval = std::chrono::seconds{15};
/// After the store failed to answer.
constexpr auto pause_after_failure = std::chrono::seconds{5};
/// Messages asked for at once.
constexpr std::uint32_t claim_limit = 256;
/// Smaller steps are told to nobody.
constexpr auto set_back_told = std::chrono::seconds{60};

struct tick {
  std::uint64_t generation;
};

} // namespace

} // namespace hedwig

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::tick)

namespace hedwig {

caf::behavior retry_timer::make_behavior() {
  set_state("waiting");
  return {[this](const rewire& fresh) {
            handles_ = fresh.handles;
            asking_ = false; // the one who was asked may be gone
            ask();
          },
          [this](const due_at& hint) { on_due(hint.when); }, [this](const claimed& found) { on_claimed(found); },
          [this](const tick& now) { on_tick(now.generation); }};
}

void retry_timer::note(wall_time when) {
  if (when == wall_time::max())
    return;
  window_.insert(when);
  auto limit = std::max(1u, relay().policy()->settings.queue.retry_window);
  while (window_.size() > limit)
    window_.erase(std::prev(window_.end()));
  relay().counts.retry_window.set(static_cast<std::int64_t>(window_.size()));
}

void retry_timer::on_due(wall_time when) {
  auto sooner = window_.empty() || when < *window_.begin();
  note(when);
  if (sooner && !asking_)
    sleep();
}

void retry_timer::on_tick(std::uint64_t generation) {
  if (generation == generation_ && !asking_)
    ask();
}

void retry_timer::ask() {
  if (!handles_ || relay().draining)
    return;
  tell_set_back();
  set_state("claiming");
  asking_ = true;
  auto now = relay().due_clock.now();
  window_.erase(window_.begin(), window_.upper_bound(now));
  send(handles_->spooler, claim_due{now, claim_limit});
}

void retry_timer::tell_set_back() {
  auto by = std::chrono::floor<std::chrono::seconds>(relay().due_clock.set_back());
  if (by - std::exchange(set_back_, by) < set_back_told)
    return;
  telemetry::log(telemetry::level::warn, telemetry::component::retry,
                 {"clock.set-back", "the clock was set back; what waits is tried on as if it had not been"},
                 {{"seconds", by.count()}});
}

void retry_timer::on_claimed(const claimed& found) {
  asking_ = false;
  note(found.next_due);
  if (found.status != HEDWIG_OK) {
    telemetry::log(telemetry::level::warn, telemetry::component::retry,
                   {"retry.claim-failed", "the store could not tell what is due; asking again soon"},
                   {{"status", to_string_view(found.status)}});
    note(relay().due_clock.now() + pause_after_failure);
  }
  sleep();
}

void retry_timer::sleep() {
  auto now = relay().due_clock.now();
  relay().counts.retry_window.set(static_cast<std::int64_t>(window_.size()));
  auto next = window_.empty() ? now + look_interval : *window_.begin();
  set_state("waiting");
  ++generation_;
  if (next <= now) {
    send(this, tick{generation_});
    return;
  }
  auto wait = std::min<std::chrono::nanoseconds>(next - now, look_interval);
  delayed_send(this, std::chrono::ceil<std::chrono::milliseconds>(wait), tick{generation_});
}

} // namespace hedwig
