// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/storage/model.hpp"

#include <algorithm>
#include <cstring>

#include "sdk/check/storage/rules.hpp"
#include "sdk/check/test.hpp"

namespace hedwig::check::storage {

void model::forget_leases() {
  for (auto& [number, one] : messages_)
    one.lease.reset();
}

void model::forget_hints() {
  for (auto& [number, one] : messages_)
    one.hint = {};
}

std::vector<const model::message*> model::walk(std::uint32_t states, hedwig_time_ns due_before, bool by_receipt) const {
  std::vector<const message*> all;
  for (auto& [number, one] : messages_)
    if ((HEDWIG_STATE_MASK(one.state) & states) != 0 && (due_before == 0 || one.due < due_before))
      all.push_back(&one);
  if (!by_receipt)
    std::ranges::stable_sort(all, {}, &message::due);
  return all;
}

std::vector<const model::message*> model::claimable(std::uint32_t states, hedwig_time_ns due_before,
                                                    hedwig_time_ns steady) const {
  auto all = walk(states, due_before, false);
  std::erase_if(all, [&](auto* one) { return is_claimed(*one, steady); });
  return all;
}

void model::expect_entry(const entry_copy& got, hedwig_time_ns steady, bool with_metadata) {
  auto number = number_of(got.id);
  auto* one = find(number);
  expect(one != nullptr && same(got.id, id_of(number)), rules::seen_at_once, "message {} is there and should not be",
         number);
  expect(got.state == one->state && got.due == one->due && got.revision == one->revision, rules::move_together,
         "message {} has state {}, due {}, revision {} instead of {}, {}, {}", number, got.state, got.due, got.revision,
         one->state, one->due, one->revision);
  expect(got.body_size == one->body_size, rules::put_is_one_step, "message {} has {} bytes instead of {}", number,
         got.body_size, one->body_size);
  if (with_metadata)
    expect(got.metadata == one->metadata, rules::move_metadata, "metadata of message {}: {}", number,
           difference(got.metadata, one->metadata));
  expect(((got.flags & HEDWIG_ENTRY_CLAIMED) != 0) == is_claimed(*one, steady), rules::claimed_flag,
         "message {} is {}claimed and says flags {}", number, is_claimed(*one, steady) ? "" : "not ", got.flags);
  one->hint = got.hint;
}

void model::expect_stats(const answer& got) const {
  hedwig_state_stats wanted[HEDWIG_STATE_COUNT] = {};
  for (auto& [number, one] : messages_) {
    auto& state = wanted[one.state];
    ++state.messages;
    state.bytes += one.body_size;
    state.oldest_due = state.messages == 1 ? one.due : std::min(state.oldest_due, one.due);
  }
  for (std::uint32_t i = 1; i < HEDWIG_STATE_COUNT; ++i)
    expect(got.states.size() > i && std::memcmp(&got.states[i], &wanted[i], sizeof wanted[i]) == 0,
           rules::stats_by_state, "STATS of state {}: {} messages, {} bytes, oldest {} instead of {}, {}, {}", i,
           got.states[i].messages, got.states[i].bytes, got.states[i].oldest_due, wanted[i].messages, wanted[i].bytes,
           wanted[i].oldest_due);
}

} // namespace hedwig::check::storage
