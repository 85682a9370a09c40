// SPDX-License-Identifier: Apache-2.0
#include "runtime/queue/record.hpp"

#include <algorithm>
#include <utility>

namespace hedwig::queue {

namespace {

// Ends before a UTF-8 sequence rather than inside it.
std::string shortened(std::string_view text, std::size_t size_max) {
  if (text.size() > size_max) {
    while (size_max > 0 && (static_cast<unsigned char>(text[size_max]) & 0xc0) == 0x80)
      --size_max;
    text = text.substr(0, size_max);
  }
  return std::string{text};
}

void note(recipient_state& state, const outcome& ended, wall_time now) {
  ++state.attempts;
  state.last_attempt = now;
  state.last_reply = {ended.reply.code, shortened(ended.reply.status, 16),
                      shortened(ended.reply.text, reply_text_size_max)};
  state.remote = shortened(ended.remote, remote_size_max);
}

bool is_overdue(const record& of, wall_time now) { return of.return_at != wall_time{} && now >= of.return_at; }

// To the sender's own limit there is no grace.
bool too_late(const record& of, const recipient_state& state, wall_time now, const retry_policy& policy) {
  return is_overdue(of, now) || (now >= expiry(policy, life_begins(of)) && now < add_saturating(state.due, late_grace));
}

/// No later than the end of its life, and than the time at which the sender wants to hear that it is late.
wall_time limited(wall_time due, const record& of, const recipient_state& state, wall_time now,
                  const retry_policy& policy) {
  auto end = life_ends(of, policy);
  if (now < end)
    due = std::min(due, end);
  if (of.warn_at != wall_time{} && !state.delay_warned && now < of.warn_at)
    due = std::min(due, of.warn_at);
  return due;
}

void expire(recipient_state& state, const record& of, wall_time now) {
  state.status = recipient_status::expired;
  if (is_overdue(of, now))
    state.last_reply = overdue_reply();
}

void plan(recipient_state& state, const record& of, wall_time now, const retry_policy& policy, double random) {
  if (state.attempts >= std::max(policy.max_retries, 1u) || too_late(of, state, now, policy)) {
    expire(state, of, now);
    return;
  }
  state.due = limited(add_saturating(now, retry_delay(policy, state.attempts, random)), of, state, now, policy);
}

std::string summary(const outcome& ended) {
  auto text = ended.reply.code == 0 ? std::string{} : std::to_string(ended.reply.code) + ' ';
  if (!ended.reply.status.empty())
    text += ended.reply.status + ' ';
  return shortened(text + ended.reply.text, reply_text_size_max);
}

void put_back(record& to, recipient_state& state, const outcome& ended, wall_time now, const retry_policy& policy) {
  auto held_back = !ended.reply.text.empty();
  if (held_back)
    to.last_error = summary(ended);
  if (held_back && too_late(to, state, now, policy)) {
    if (state.attempts == 0)
      state.last_reply = {0, "4.4.7", to.last_error};
    expire(state, to, now);
    return;
  }
  state.due = limited(std::max(now, ended.due), to, state, now, policy);
}

void apply_one(record& to, const outcome& ended, wall_time now, const retry_policy& policy, double random,
               decision& made) {
  if (ended.recipient >= to.recipients.size())
    return;
  auto& state = to.recipients[ended.recipient];
  if (state.status != recipient_status::pending)
    return;
  state.in_flight = false;
  if (ended.kind == outcome_kind::returned) {
    put_back(to, state, ended, now, policy);
    if (state.status != recipient_status::pending)
      made.failed.push_back(ended.recipient);
    return;
  }
  if (std::exchange(to.round_open, false))
    ++to.attempts;
  note(state, ended, now);
  if (ended.kind == outcome_kind::delivered) {
    state.status = recipient_status::delivered;
    state.success_due = ended.tell_success;
    made.delivered.push_back(ended.recipient);
    return;
  }
  to.last_error = summary(ended);
  if (ended.kind == outcome_kind::unknown)
    ++state.unknown;
  if (ended.kind == outcome_kind::failed)
    state.status = recipient_status::failed;
  else
    plan(state, to, now, policy, random);
  auto& changed = state.status == recipient_status::pending ? made.deferred : made.failed;
  changed.push_back(ended.recipient);
}

bool ended_badly(const recipient_state& state) {
  return state.status == recipient_status::failed || state.status == recipient_status::expired;
}

bool warning_due(const record& of, const recipient_state& state, wall_time now, const retry_policy& policy) {
  if (state.status != recipient_status::pending || state.delay_warned)
    return false;
  return (of.warn_at != wall_time{} && now >= of.warn_at) ||
         (policy.delay_warning && now >= add_saturating(life_begins(of), *policy.delay_warning));
}

void collect_reports(const record& of, wall_time now, const retry_policy& policy, decision& made) {
  for (std::uint32_t i = 0; i < of.recipients.size(); ++i) {
    auto& state = of.recipients[i];
    if (ended_badly(state) && !state.reported)
      made.report.push_back(i);
    if (state.success_due && !state.reported)
      made.succeed.push_back(i);
    if (warning_due(of, state, now, policy))
      made.warn.push_back(i);
  }
}

void decide(const record& of, wall_time now, const retry_policy& policy, decision& made) {
  bool in_flight = false;
  bool pending = false;
  bool bad = false;
  auto soonest = wall_time::max();
  for (auto& state : of.recipients) {
    in_flight |= state.in_flight;
    bad |= ended_badly(state);
    if (state.status == recipient_status::pending) {
      pending = true;
      soonest = std::min(soonest, state.due);
    }
  }
  if (in_flight) {
    made.step = next_step::wait;
    made.due = add_saturating(now, std::max(policy.initial_delay, std::chrono::nanoseconds{std::chrono::seconds{1}}));
    return;
  }
  collect_reports(of, now, policy, made);
  made.due = pending ? soonest : now;
  if (pending)
    made.step = of.held ? next_step::hold : next_step::defer;
  else
    made.step = bad ? next_step::bounce : next_step::remove;
}

template <class Change>
void for_each_known(record& of, std::span<const std::uint32_t> recipients, Change change) {
  for (auto i : recipients)
    if (i < of.recipients.size())
      change(of.recipients[i]);
}

} // namespace

std::string_view to_string_view(recipient_status status) noexcept {
  switch (status) {
  case recipient_status::pending:
    return "pending";
  case recipient_status::delivered:
    return "delivered";
  case recipient_status::failed:
    return "failed";
  case recipient_status::expired:
    return "expired";
  }
  return "pending";
}

void take_limits(record& of, const envelope& from) {
  of.held_until = from.held_until;
  of.return_at = of.warn_at = wall_time{};
  if (from.deliver_by)
    (from.deliver_by->return_it ? of.return_at : of.warn_at) = from.deliver_by->until;
}

wall_time life_begins(const record& of) noexcept { return std::max(of.first_queued, of.held_until); }

wall_time life_ends(const record& of, const retry_policy& policy) noexcept {
  auto end = expiry(policy, life_begins(of));
  return of.return_at == wall_time{} ? end : std::min(end, of.return_at);
}

record make_record(const message& taken, wall_time now) {
  record fresh;
  take_limits(fresh, taken.envelope);
  fresh.first_queued = now;
  fresh.next_due = std::max(now, fresh.held_until);
  fresh.recipients.resize(taken.envelope.recipients.size());
  for (auto& state : fresh.recipients)
    state.due = fresh.next_due;
  return fresh;
}

std::vector<std::uint32_t> due_recipients(const record& of, wall_time now, std::chrono::nanoseconds horizon) {
  std::vector<std::uint32_t> due;
  auto until = add_saturating(now, horizon);
  for (std::uint32_t i = 0; i < of.recipients.size(); ++i) {
    auto& state = of.recipients[i];
    if (state.status == recipient_status::pending && !state.in_flight && state.due <= until)
      due.push_back(i);
  }
  return due;
}

void begin_attempt(record& of, std::span<const std::uint32_t> recipients) {
  for_each_known(of, recipients, [&](recipient_state& state) {
    if (state.status == recipient_status::pending)
      of.round_open = state.in_flight = true;
  });
}

decision apply(record& to, std::span<const outcome> outcomes, wall_time now, const retry_policy& policy,
               double random) {
  decision made;
  for (auto& ended : outcomes)
    apply_one(to, ended, now, policy, random, made);
  decide(to, now, policy, made);
  to.next_due = made.due;
  return made;
}

decision assess(const record& of, wall_time now, const retry_policy& policy) {
  decision made;
  decide(of, now, policy, made);
  return made;
}

void mark_reported(record& of, std::span<const std::uint32_t> recipients) {
  for_each_known(of, recipients, [](recipient_state& state) { state.reported = true; });
}

void mark_warned(record& of, std::span<const std::uint32_t> recipients) {
  for_each_known(of, recipients, [](recipient_state& state) { state.delay_warned = true; });
}

void make_due(record& of, wall_time now) {
  for (auto& state : of.recipients)
    if (state.status == recipient_status::pending && !state.in_flight)
      state.due = now;
  of.next_due = now;
}

reply overdue_reply() { return {0, "5.4.7", "It could not be delivered in the time that its sender gave"}; }

std::vector<outcome> fail_overdue(const record& of, wall_time now) {
  return is_overdue(of, now) ? fail_pending(of, overdue_reply()) : std::vector<outcome>{};
}

std::vector<outcome> fail_pending(const record& of, const reply& why) {
  std::vector<outcome> all;
  for (std::uint32_t i = 0; i < of.recipients.size(); ++i)
    if (of.recipients[i].status == recipient_status::pending && !of.recipients[i].in_flight)
      all.push_back({i, outcome_kind::failed, why, {}});
  return all;
}

} // namespace hedwig::queue
