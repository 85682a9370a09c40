// SPDX-License-Identifier: Apache-2.0
// A clock that was set back while no relay ran, or right before a restart: what waits in the store was put off by the
// clock as it was, and would wait until it is that late again.
#include "actors/spooler.hpp"

#include "runtime/queue/metadata.hpp"

#include <algorithm>

namespace hedwig {

namespace {

/// Records looked at: those of the messages that are due first.
constexpr std::uint32_t records_looked_at = 100;
/// Smaller steps do no harm, and clocks of hosts that share a store differ.
constexpr auto set_back_min = std::chrono::seconds{60};

wall_time last_written(const queue::record& of) {
  auto last = of.first_queued;
  for (auto& one : of.recipients)
    last = std::max(last, one.last_attempt);
  return last;
}

} // namespace

/// Where more than half of the records were written later than now, it has been that late before. One with a strange
/// time, imported say, decides nothing.
void spooler::look_at_clock() {
  plugin::list_request list{.states = HEDWIG_STATE_MASK(HEDWIG_STATE_QUEUED) | HEDWIG_STATE_MASK(HEDWIG_STATE_DEFERRED),
                            .metadata = true,
                            .cursor = {},
                            .limit = records_looked_at};
  store_->list(std::move(list), then([this](auto& answer) {
                 if (!answer)
                   return;
                 std::vector<wall_time> times;
                 for (auto& one : plugin::as<plugin::storage_listing>(*answer).entries)
                   if (auto known = queue::decode_metadata(one.metadata, one.id))
                     times.push_back(last_written(known->record));
                 if (times.empty())
                   return;
                 auto middle = times.begin() + static_cast<std::ptrdiff_t>((times.size() - 1) / 2);
                 std::ranges::nth_element(times, middle);
                 auto& clock = relay().due_clock;
                 if (*middle < clock.now() + set_back_min)
                   return;
                 clock.advance_to(*middle);
                 if (handles_)
                   send(handles_->retry_timer, due_at{clock.now()});
               }));
}

} // namespace hedwig
