// SPDX-License-Identifier: Apache-2.0
#include "actors/retry_timer.hpp"

#include "runtime/telemetry/log.hpp"

#include <algorithm>

namespace hedwig {

namespace {

/// A due time is wall-clock time, which may jump; looking at it this often keeps a jump from freezing retries.
constexpr auto sleep_max = std::chrono::seconds{30};
/// After the store failed to answer.
constexpr auto pause_after_failure = std::chrono::seconds{5};
/// Messages asked for at once.
constexpr std::uint32_t claim_limit = 256;

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
          [this](const due_at& hint) { on_due(hint.when); },
          [this](claimed& found) { on_claimed(found); },
          [this](const tick& now) { on_tick(now.generation); }};
}

void retry_timer::on_due(wall_time when) {
  if (asking_)
    next_due_ = std::min(next_due_, when);
  else if (when < wake_at_)
    sleep_until(when);
}

void retry_timer::on_tick(std::uint64_t generation) {
  if (generation == generation_ && !asking_)
    ask();
}

void retry_timer::ask() {
  if (!handles_ || relay().draining)
    return;
  set_state("claiming");
  asking_ = true;
  next_due_ = wall_time::max();
  send(handles_->spooler, claim_due{relay().time.wall(), claim_limit});
}

void retry_timer::on_claimed(claimed& found) {
  asking_ = false;
  auto now = relay().time.wall();
  auto next = std::min(found.next_due, next_due_);
  if (found.status != HEDWIG_OK) {
    telemetry::log(telemetry::level::warn, telemetry::component::retry,
                   {"retry.claim-failed", "the store could not tell what is due; asking again soon"},
                   {{"status", to_string_view(found.status)}});
    next = now + pause_after_failure;
  }
  if (!found.works.empty())
    send(handles_->dispatcher, dispatch{std::move(found.works)});
  sleep_until(next);
}

void retry_timer::sleep_until(wall_time when) {
  auto now = relay().time.wall();
  set_state("waiting");
  wake_at_ = when;
  ++generation_;
  auto wait = when <= now ? std::chrono::nanoseconds{0} : std::min<std::chrono::nanoseconds>(when - now, sleep_max);
  if (wait.count() == 0)
    send(this, tick{generation_});
  else
    delayed_send(this, std::chrono::ceil<std::chrono::milliseconds>(wait), tick{generation_});
}

} // namespace hedwig
