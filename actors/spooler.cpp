// SPDX-License-Identifier: Apache-2.0
#include "actors/spooler.hpp"

#include "actors/mailbox_sink.hpp"
#include "runtime/queue/metadata.hpp"
#include "runtime/telemetry/log.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <ranges>

namespace hedwig {

using queue::outcome_kind;
using telemetry::component;
using telemetry::level;

namespace {

/// How long the store keeps a message from further claims. It is renewed by the claim that comes after it, which finds
/// the message active; one whose claim was never answered in time is claimed again then. A restart ends it too.
constexpr auto lease = std::chrono::minutes{10};
/// Messages written while one claim is with the store; beyond, its answer counts as lost.
constexpr std::size_t written_during_claim_max = 100'000;
/// Of a message that is gone: no revision is newer.
constexpr auto revision_gone = std::numeric_limits<std::uint64_t>::max();
/// Before a change that the store refused is tried again.
constexpr auto write_retry_delay = std::chrono::seconds{2};
/// How long a message rests at least that came back without an attempt and without a word when to try; the older it is,
/// the longer: an eighth of its age, but not beyond return_delay_max. Spread over as much again.
constexpr auto return_delay = std::chrono::seconds{15};
constexpr auto return_delay_max = std::chrono::minutes{5};
/// How often old bounced messages are looked for is [storage.cleanup] interval; at most this many go at a time.
constexpr std::uint32_t cleanup_limit = 1000;

struct retry_write {
  message_id id;
};
struct clean_up {};
/// How old the metrics about what the store holds may be.
constexpr auto stock_interval = std::chrono::seconds{5};
struct look_at_stock {};
/// How often it is looked whether the parts of bodies that wait for memory may be read.
constexpr auto memory_interval = std::chrono::milliseconds{20};
struct look_for_memory {};

std::uint64_t whole_seconds(wall_time from, wall_time to) {
  return to > from ? static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(to - from).count())
                   : 0;
}

hedwig_state_stats stats_of(const plugin::storage_statistics& from, std::size_t state) {
  return state < from.states.size() ? from.states[state] : hedwig_state_stats{};
}

std::chrono::nanoseconds pause_of_returned(std::chrono::nanoseconds age, double share) {
  auto pause = std::clamp<std::chrono::nanoseconds>(age / 8, return_delay, return_delay_max);
  return pause + std::chrono::duration_cast<std::chrono::nanoseconds>(pause * share);
}

/// Those of whose such end the sender wants to hear.
std::vector<std::uint32_t> wanted(const queue::message& of, const std::vector<std::uint32_t>& all, std::uint8_t event) {
  std::vector<std::uint32_t> some;
  std::ranges::copy_if(all, std::back_inserter(some),
                       [&](auto index) { return of.envelope.recipients[index].hears_of(event); });
  return some;
}

void mark_all_but(queue::record& of, const std::vector<std::uint32_t>& all, const std::vector<std::uint32_t>& kept,
                  void (*mark)(queue::record&, std::span<const std::uint32_t>)) {
  std::vector<std::uint32_t> rest;
  std::ranges::set_difference(all, kept, std::back_inserter(rest));
  mark(of, rest);
}

std::uint64_t waiting_in(const plugin::storage_statistics& from) {
  std::uint64_t sum = 0;
  for (auto state : {HEDWIG_STATE_QUEUED, HEDWIG_STATE_DEFERRED, HEDWIG_STATE_HELD, HEDWIG_STATE_QUARANTINED})
    sum += stats_of(from, static_cast<std::size_t>(state)).messages;
  return sum;
}

} // namespace

} // namespace hedwig

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::retry_write)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::clean_up)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::look_at_stock)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::look_for_memory)

namespace hedwig {

spooler::spooler(caf::actor_config& config, relay_context& context, const actor_place& place)
  : observed_actor{config, context, "spooler", place}, store_{context.plugins.store} {}

caf::behavior spooler::make_behavior() {
  sink_ = std::make_shared<mailbox_sink>(caf::actor_cast<caf::actor>(this));
  set_state("opening");
  set_down_handler([this](const caf::down_msg& down) { on_down(down); });
  count_what_is_there();
  delayed_send(this, stock_interval, look_at_stock{});
  send(this, clean_up{});
  return {[this](store_message& request) { on_store(request); },
          [this](plugin_answers& answers) { on_answers(answers); },
          [this](const attempt_outcome& ended) { on_outcome(ended); },
          [this](const claim_due& question) { on_claim_due(question); },
          [this](const load_body& question) { on_load_body(question); },
          [this](stage_part& part) { on_stage_part(part); },
          [this](const drop_stage& what) { on_drop_stage(what); },
          [this](look_for_memory) {
            looking_for_memory_ = false;
            serve_waiting_parts();
          },
          [this](const attempts_lost& what) { on_lost(what); },
          [this](const rewire& fresh) { on_rewire(fresh); },
          [this](const console_request& request) { on_console(request); },
          [this](resume_delivery) { on_resume(); },
          [this](const retry_write& what) {
            if (auto* of = find(what.id))
              of->pausing = false;
            leave_if_done(what.id);
          },
          [this](look_at_stock) { take_stock(); },
          [this](clean_up) { sweep(); }};
}

void spooler::look_for_memory_later() {
  if (!std::exchange(looking_for_memory_, true))
    delayed_send(this, memory_interval, look_for_memory{});
}

void spooler::on_exit() {
  handles_.reset();
  sink_.reset();
}

void spooler::count_what_is_there() {
  store_->stats(then([this](auto& answer) {
    if (!answer)
      return;
    auto& found = plugin::as<plugin::storage_statistics>(*answer);
    auto waiting = waiting_in(found);
    relay().counts.queue_depth.set(static_cast<std::int64_t>(waiting));
    show_stock(found);
    stock_known_ = true;
    set_state("serving");
    telemetry::log(level::info, component::spooler, {"spool.open", "the spool is open"},
                   {{"waiting", waiting}, {"store", store_->owner()->name()}});
    look_at_clock();
  }));
}

void spooler::take_stock() {
  delayed_send(this, stock_interval, look_at_stock{});
  if (std::exchange(stock_asked_, true))
    return;
  auto quiet = open_.empty();
  store_->stats(then([this, quiet, tag = last_tag_ + 1](auto& answer) {
    stock_asked_ = false;
    if (!answer)
      return;
    auto& found = plugin::as<plugin::storage_statistics>(*answer);
    // Counted as it changes; the store's figure is exact when no change was under way.
    if ((quiet && tag == last_tag_) || !stock_known_)
      relay().counts.queue_depth.set(static_cast<std::int64_t>(waiting_in(found)));
    if (!std::exchange(stock_known_, true))
      set_state("serving");
    show_stock(found);
  }));
}

void spooler::show_stock(const plugin::storage_statistics& found) {
  auto& counts = relay().counts;
  auto now = relay().due_clock.now();
  // The store knows nothing of who is in delivery, and counted a moment ago: never below zero.
  auto without = [](std::uint64_t all, std::uint64_t some) {
    return static_cast<std::int64_t>(all - std::min(all, some));
  };
  std::uint64_t queued = 0;
  std::uint64_t deferred = 0;
  for (auto& [id, of] : active_) {
    queued += of.kept_as == HEDWIG_STATE_QUEUED;
    deferred += of.kept_as == HEDWIG_STATE_DEFERRED;
  }
  counts.ready.set(without(stats_of(found, HEDWIG_STATE_QUEUED).messages, queued));
  counts.waiting.set(without(stats_of(found, HEDWIG_STATE_DEFERRED).messages, deferred));
  counts.in_flight.set(static_cast<std::int64_t>(active_.size()));
  auto age = [&](std::size_t state) {
    auto one = stats_of(found, state);
    return one.messages == 0
               ? 0
               : static_cast<std::int64_t>(whole_seconds(wall_time{std::chrono::nanoseconds{one.oldest_due}}, now));
  };
  counts.oldest_ready.set(age(HEDWIG_STATE_QUEUED));
  counts.oldest_deferred.set(age(HEDWIG_STATE_DEFERRED));
  std::uint64_t bytes = 0;
  for (auto& one : found.states)
    bytes += one.bytes;
  counts.stored_now.set(static_cast<std::int64_t>(bytes));
  counts.disk_free.set(static_cast<std::int64_t>(found.disk_free));
}

/// The answers of one commit come together; all name its size.
void spooler::count_commits(const plugin_answers& answers) {
  std::uint32_t left = 0; // answers of the commit that was counted last
  for (auto& one : answers.done) {
    if (!one.value)
      continue;
    if (auto* commit = std::get_if<plugin::storage_commit>(&*one.value)) {
      if (left == 0)
        relay().counts.group_size.observe(left = commit->group_size);
      left -= left > 0;
    } else if (std::holds_alternative<std::monostate>(*one.value)) {
      left -= left > 0; // a REMOVE is carried too
    }
  }
}

plugin::reply_to spooler::then(continuation next) {
  open_.emplace(++last_tag_, std::move(next));
  return {sink_, last_tag_, {}};
}

void spooler::on_answers(plugin_answers& answers) {
  plugin::storage_client::cork gather{*store_};
  count_commits(answers);
  for (auto& one : answers.done) {
    auto found = open_.extract(one.tag);
    if (!found.empty())
      found.mapped()(one.value);
  }
  if (!fresh_.empty())
    hand_out(std::exchange(fresh_, {}));
}

void spooler::on_rewire(const rewire& fresh) {
  auto other_bouncer = handles_ && handles_->bouncer != fresh.handles->bouncer;
  handles_ = fresh.handles;
  if (!other_bouncer)
    return;
  std::vector<message_id> unreported; // what the lost one was asked for
  for (auto& [id, of] : active_)
    if (of.reporting)
      unreported.push_back(id);
  for (auto& id : unreported)
    reported(id, false);
}

spooler::entry* spooler::find(const message_id& id) {
  auto found = active_.find(id);
  return found == active_.end() ? nullptr : &found->second;
}

// ---- accepting

bool spooler::has_room() const {
  return !relay().paused && !relay().draining &&
         active_.size() + reserved_ < relay().policy()->settings.queue.active_messages;
}

void spooler::on_store(store_message& request) {
  auto now = relay().due_clock.now();
  auto state = queue::make_record(*request.message, now);
  if (state.next_due > now)
    state.last_error =
        fmt::format("held by its sender until {:%FT%TZ}", std::chrono::floor<std::chrono::seconds>(state.next_due));
  auto metadata = queue::encode_metadata(*request.message, state);
  auto stage = request.staged_rest ? take_stage(request.message->id) : 0;
  if (request.staged_rest && stage == 0) { // dropped: the session asks for what it gave up
    send(request.reply_to, message_stored{request.token, request.message->id, HEDWIG_E_NOT_FOUND});
    return;
  }
  if (!metadata) {
    if (stage != 0)
      store_->drop(stage);
    telemetry::log(level::error, component::spooler, {"message.unencodable", "cannot be stored"},
                   {{"id", request.message->id.text()}, {"error", metadata.error().text()}});
    send(request.reply_to, message_stored{request.token, request.message->id, metadata.error().status});
    return;
  }
  auto due = state.next_due; // later than now where the sender holds it
  auto admitted = !request.quarantine && due <= now && has_room();
  reserved_ += admitted;
  plugin::put_request put{.id = request.message->id,
                          .state = request.quarantine ? std::uint32_t{HEDWIG_STATE_QUARANTINED}
                                   : due > now        ? std::uint32_t{HEDWIG_STATE_DEFERRED}
                                                      : HEDWIG_STATE_QUEUED,
                          .due = due,
                          .lease_until = admitted ? relay().time.wall() + lease : wall_time{},
                          .stage = stage,
                          .body = request.staged_rest ? std::move(*request.staged_rest) : *request.message->body,
                          .metadata = std::move(*metadata)};
  auto next = [this, request = std::move(request), state = std::move(state), admitted,
               began = relay().time.steady()](auto& answer) mutable {
    if (answer)
      relay().counts.append_time.observe(std::chrono::duration<double>(relay().time.steady() - began).count());
    stored(request, std::move(state), admitted, answer);
  };
  store_->put(std::move(put), then(std::move(next)));
}

void spooler::stored(store_message& request, queue::record state, bool admitted, result<plugin::outcome>& answer) {
  reserved_ -= admitted;
  auto& message = *request.message;
  auto status = answer ? HEDWIG_OK : answer.error().status;
  if (answer)
    count_stored(plugin::as<plugin::storage_commit>(*answer), message);
  else
    report_not_stored(message, answer.error());
  if (request.reply_to)
    send(request.reply_to, message_stored{request.token, message.id, status});
  if (request.about)
    reported(request.about->id, answer.has_value());
  if (!answer)
    return;
  if (!admitted) {
    if (!request.quarantine && state.next_due > relay().due_clock.now() && handles_)
      send(handles_->retry_timer, due_at{state.next_due});
    else
      starved_ |= !request.quarantine;
    return;
  }
  auto& commit = plugin::as<plugin::storage_commit>(*answer);
  auto& fresh = enter(request.message, std::move(state), commit.hint, commit.revision);
  if (relay().policy()->settings.server.disable_outbound) {
    drop_outbound(fresh);
    return;
  }
  start_attempt(fresh, queue::due_recipients(fresh.state, relay().due_clock.now()), fresh_);
}

void spooler::report_not_stored(const queue::message& message, const error& why) {
  relay().counts.store_errors.add();
  telemetry::log(level::error, component::spooler, {"message.not-stored", "the store did not commit a message"},
                 {{"id", message.id.text()}, {"error", why.text()}});
}

void spooler::count_stored(const plugin::storage_commit& commit, const queue::message& message) {
  relay().counts.stored.add();
  relay().counts.stored_bytes.add(message.size);
  relay().counts.queue_depth.add();
  telemetry::log(level::debug, component::spooler, {"message.spooled", "on disk"},
                 {{"id", message.id.text()}, {"size", message.size}, {"group", commit.group_size}});
}

spooler::entry& spooler::enter(queue::message_ptr message, queue::record state, hedwig_storage_hint hint,
                               std::uint64_t revision) {
  auto& made = active_[message->id];
  made.message = std::move(message);
  made.state = std::move(state);
  made.hint = hint;
  made.revision = revision;
  made.began = relay().time.steady();
  relay().counts.active_messages.set(static_cast<std::int64_t>(active_.size()));
  return made;
}

void spooler::start_attempt(entry& of, std::vector<std::uint32_t> recipients, std::vector<delivery_work>& works) {
  if (!std::exchange(of.attempted, true))
    relay().attempts_open.fetch_add(1, std::memory_order_relaxed);
  queue::begin_attempt(of.state, recipients);
  auto room = give_room(of);
  works.push_back({of.message, std::move(recipients), std::move(room)});
}

void spooler::hand_out(std::vector<delivery_work> works) {
  if (handles_)
    send(handles_->dispatcher, dispatch{std::move(works)});
}

void spooler::drop_outbound(entry& of) {
  std::vector<queue::outcome> outcomes;
  for (std::uint32_t i = 0; i < of.state.recipients.size(); ++i)
    outcomes.push_back({i, outcome_kind::delivered, {0, "", "discarded: server.disable_outbound"}, {}});
  apply(of, outcomes);
}

// ---- handing out what is due

void spooler::on_claim_due(const claim_due& question) {
  if (claim_open_)
    return; // of a retry timer that ended: the answer goes to the one that follows
  auto policy = relay().policy();
  auto limit = policy->settings.queue.active_messages;
  if (!has_room()) {
    starved_ = true;
    send(handles_->retry_timer, claimed{wall_time::max(), HEDWIG_OK});
    return;
  }
  auto wanted = std::min<std::uint64_t>(question.limit, limit - (active_.size() + reserved_));
  plugin::claim_request claim{.due_before = question.before,
                              .lease_until = relay().time.wall() + lease,
                              .cursor = std::exchange(claim_cursor_, {}),
                              .limit = static_cast<std::uint32_t>(wanted)};
  claim_open_ = true;
  store_->claim(std::move(claim), then([this, before = question.before, limit = claim.limit](auto& answer) {
                  claimed_from_store(before, limit, answer);
                }));
}

void spooler::claimed_from_store(wall_time before, std::uint32_t limit, result<plugin::outcome>& answer) {
  claim_open_ = false;
  auto flooded = written_during_claim_.size() >= written_during_claim_max;
  if (!answer || flooded) {
    written_during_claim_.clear();
    send(handles_->retry_timer, claimed{wall_time::max(), answer ? HEDWIG_E_BUSY : answer.error().status});
    return;
  }
  auto& listing = plugin::as<plugin::storage_listing>(*answer);
  std::vector<delivery_work> works;
  for (auto& found : listing.entries)
    if (!is_stale(found))
      activate(found, works);
  written_during_claim_.clear();
  if (!works.empty())
    hand_out(std::move(works));
  // More is due now, and the timer asks again at once: from the oldest on after a full page, or from where the store
  // stopped in the middle of a walk over what is leased or damaged.
  auto full = listing.entries.size() >= limit;
  if (!full)
    claim_cursor_ = std::move(listing.cursor);
  send(handles_->retry_timer, claimed{full || !claim_cursor_.empty() ? before : wall_time::max(), HEDWIG_OK});
}

/// The message was written after the claim saw it, which ended the claim's lease: whoever sees it next gets it.
bool spooler::is_stale(const plugin::storage_entry& found) const {
  auto known = written_during_claim_.find(found.id);
  return known != written_during_claim_.end() && found.revision < known->second;
}

void spooler::note_written(const message_id& id, std::uint64_t revision) {
  if (claim_open_ && written_during_claim_.size() < written_during_claim_max)
    written_during_claim_[id] = revision;
}

void spooler::activate(plugin::storage_entry& found, std::vector<delivery_work>& works) {
  if (auto* of = find(found.id)) {
    if (found.revision > of->revision)
      of->claimed_again = std::move(found);
    return; // else its lease was renewed
  }
  if (auto work = console_works_.find(found.id); work != console_works_.end()) {
    work->second.claimed = std::move(found); // it is activated, or not, once the console has done
    return;
  }
  auto known = queue::decode_metadata(found.metadata, found.id);
  if (!known) {
    set_aside(found, known.error());
    return;
  }
  known->message.size = found.body_size;
  auto now = relay().due_clock.now();
  auto policy = relay().policy();
  auto& fresh = enter(std::make_shared<const queue::message>(std::move(known->message)), std::move(known->record),
                      found.hint, found.revision);
  fresh.kept_as = found.state;
  auto decision = queue::assess(fresh.state, now, policy->retry);
  if (policy->settings.server.disable_outbound) {
    drop_outbound(fresh);
    return;
  }
  if (decision.step == queue::next_step::remove || decision.step == queue::next_step::bounce) {
    settle(fresh, decision); // it ended before a restart that came too early
    return;
  }
  if (auto over = queue::fail_overdue(fresh.state, now); !over.empty()) {
    apply(fresh, over);
    return;
  }
  auto recipients = queue::due_recipients(fresh.state, now);
  if (recipients.empty()) {
    settle(fresh, decision);
    return;
  }
  if (fresh.state.attempts > 0)
    relay().counts.retries.add();
  start_attempt(fresh, std::move(recipients), works);
}

void spooler::set_aside(const plugin::storage_entry& damaged, const error& why) {
  telemetry::log(level::error, component::spooler,
                 {"message.damaged", "it cannot be read; it is quarantined, look with hedwig-admin queue show"},
                 {{"id", damaged.id.text()}, {"error", why.text()}});
  plugin::move_request move{.id = damaged.id,
                            .hint = damaged.hint,
                            .revision = damaged.revision,
                            .state = HEDWIG_STATE_QUARANTINED,
                            .due = damaged.due,
                            .metadata = queue::damaged_metadata(damaged.metadata, damaged.id, why.message),
                            .replace_metadata = true};
  store_->move(std::move(move), then([id = damaged.id](auto& answer) {
                 if (!answer)
                   telemetry::log(level::error, component::spooler,
                                  {"message.not-set-aside", "a damaged message stays where it is until a restart"},
                                  {{"id", id.text()}, {"error", answer.error().text()}});
               }));
}

// ---- outcomes

void spooler::on_outcome(const attempt_outcome& ended) {
  auto* of = find(ended.id);
  if (of == nullptr)
    return; // settled already: the answer of an attempt that was given up as lost
  // Of an attempt that was given up as lost only its success counts: that recipient has the message.
  auto counts = [&](auto& one) {
    if (one.recipient >= of->state.recipients.size())
      return false;
    auto& state = of->state.recipients[one.recipient];
    return state.in_flight || (one.kind == outcome_kind::delivered && state.status == queue::recipient_status::pending);
  };
  std::vector<queue::outcome> expected;
  std::ranges::copy_if(ended.outcomes, std::back_inserter(expected), counts);
  if (!expected.empty())
    apply(*of, expected);
}

void spooler::apply(entry& to, std::span<const queue::outcome> outcomes) {
  auto now = relay().due_clock.now();
  auto policy = relay().policy();
  std::vector<queue::outcome> planned;
  if (std::ranges::any_of(outcomes, [](auto& one) { return one.kind == outcome_kind::returned; })) {
    planned.assign(outcomes.begin(), outcomes.end());
    auto back = now + pause_of_returned(now - to.state.first_queued, relay().next_share());
    for (auto& one : planned)
      if (one.kind == outcome_kind::returned && one.due == wall_time{})
        one.due = back;
    outcomes = planned;
  }
  auto made = queue::apply(to.state, outcomes, now, policy->retry, relay().next_share());
  // What waits with a reason shall say so; what merely came back is in the store as it was.
  to.changed |= std::ranges::any_of(
      outcomes, [](auto& one) { return one.kind != outcome_kind::returned || !one.reply.text.empty(); });
  log_outcomes(to, outcomes, made);
  settle(to, made);
}

void spooler::log_outcomes(const entry& of, std::span<const queue::outcome> outcomes, const queue::decision& made) {
  auto& counts = relay().counts;
  auto& message = *of.message;
  auto now = relay().time.wall();
  auto drop = relay().policy()->settings.server.disable_outbound;
  for (auto& one : outcomes) {
    auto bounced = std::ranges::find(made.failed, one.recipient) != made.failed.end();
    if (one.kind == outcome_kind::returned && !bounced)
      continue;
    auto& state = of.state.recipients[one.recipient];
    auto delivered = one.kind == outcome_kind::delivered;
    auto status = delivered ? (drop ? "dropped" : "delivered") : bounced ? "bounced" : "deferred";
    (delivered ? (drop ? counts.dropped : counts.sent) : bounced ? counts.bounced : counts.deferred).add();
    if (one.kind == outcome_kind::unknown)
      counts.unknown.add();
    auto& address = message.envelope.recipients[one.recipient].address;
    if (!drop)
      attempts_.add(counts, queue::domain_of(address),
                    delivered ? attempt_result::success
                    : bounced ? attempt_result::failure
                              : attempt_result::deferred);
    auto reply = std::to_string(one.reply.code) + (one.reply.status.empty() ? "" : " " + one.reply.status) + " " +
                 one.reply.text;
    auto id = message.id.text();
    telemetry::log_delivery(
        {.job_id = id,
         .from_email = message.envelope.reverse_path,
         .recipient = address,
         .subject = message.subject,
         .status = status,
         .smtp_response = one.reply.code == 0 ? std::string_view{one.reply.text} : std::string_view{reply},
         .dest_ip = one.remote,
         .queued_at = of.state.first_queued,
         .logged_at = now,
         .delay =
             std::chrono::duration_cast<std::chrono::milliseconds>(relay().due_clock.now() - of.state.first_queued),
         .attempt = state.attempts});
  }
}

void spooler::settle(entry& of, const queue::decision& made) {
  using queue::next_step;
  if (made.step == next_step::wait) {
    // Someone accepted it while others are still being tried: that must be on disk before anything else happens.
    if (!made.delivered.empty())
      write(of, {.state = HEDWIG_STATE_DEFERRED, .due = made.due, .keep_claimed = true});
    return;
  }
  if (!std::exchange(of.counted, true)) { // once, also when a notification is waited for
    relay().counts.jobs.add();
    relay().counts.job_time.observe(std::chrono::duration<double>(relay().time.steady() - of.began).count());
  }
  if (of.delete_wanted) {
    write(of, {.remove = true});
    return;
  }
  if (std::exchange(of.bounce_wanted, false) && made.step == next_step::defer) {
    apply(of, queue::fail_pending(of.state, {554, "5.7.1", "Bounced by the operator"}));
    return;
  }
  ask_for_report(of, made);
  auto now = relay().due_clock.now();
  if (!of.damage.empty() && (made.step == next_step::defer || made.step == next_step::hold)) {
    of.state.last_error = std::string{queue::damaged_prefix} + of.damage;
    write(of, {.state = HEDWIG_STATE_QUARANTINED, .due = now});
    return;
  }
  switch (made.step) {
  case next_step::remove:
    // Until the sender has been told it stays, as delivered: a crash must not deliver it again.
    write(of, of.reporting ? change{.state = HEDWIG_STATE_DEFERRED, .due = now, .keep_claimed = true}
                           : change{.remove = true});
    break;
  case next_step::bounce:
    if (!of.reporting)
      write(of, {.state = HEDWIG_STATE_BOUNCED, .due = now}); // since when it is kept
    break;
  case next_step::hold:
    write(of, {.state = HEDWIG_STATE_HELD, .due = made.due});
    break;
  default:
    if (of.hold_wanted) {
      of.state.held = true;
      of.hold_wanted = false;
      write(of, {.state = HEDWIG_STATE_HELD, .due = made.due});
    } else if (relay().draining && !of.changed) {
      leave_if_done(of.message->id); // as it is in the store; the lease ends with this process
    } else {
      write(of, {.state = HEDWIG_STATE_DEFERRED, .due = made.due});
    }
  }
}

void spooler::ask_for_report(entry& of, const queue::decision& made) {
  if (of.reporting || (made.report.empty() && made.succeed.empty() && made.warn.empty()))
    return;
  if (of.message->envelope.null_sender() || !handles_) {
    queue::mark_reported(of.state, made.succeed);
    queue::mark_reported(of.state, made.report); // nobody to tell (RFC 5321 section 4.5.5)
    queue::mark_warned(of.state, made.warn);
    return;
  }
  // Of whom the sender does not want to hear (RFC 3461 section 4.1), he has heard enough.
  auto failed = wanted(*of.message, made.report, queue::notify_failure);
  auto late = wanted(*of.message, made.warn, queue::notify_delay);
  mark_all_but(of.state, made.report, failed, queue::mark_reported);
  mark_all_but(of.state, made.warn, late, queue::mark_warned);
  of.reported.clear();
  of.warned.clear();
  // One after the other: what is left comes up again when this one is durable.
  if (!failed.empty())
    send_report(of, mail::dsn_kind::failure, of.reported = std::move(failed));
  else if (!made.succeed.empty())
    send_report(of, mail::dsn_kind::relayed, of.reported = made.succeed);
  else if (!late.empty())
    send_report(of, mail::dsn_kind::delay, of.warned = std::move(late));
}

void spooler::send_report(entry& of, mail::dsn_kind kind, const std::vector<std::uint32_t>& recipients) {
  of.reporting = true;
  send(handles_->bouncer,
       report_failure{of.message, std::make_shared<const queue::record>(of.state), recipients, kind});
}

void spooler::reported(const message_id& about, bool durable) {
  auto* of = find(about);
  if (of == nullptr || !std::exchange(of->reporting, false))
    return;
  if (!durable) {
    // Without its notification a failure must not be forgotten: the same is tried again in a while.
    delayed_send(this, write_retry_delay, retry_write{about});
    return;
  }
  queue::mark_reported(of->state, of->reported);
  queue::mark_warned(of->state, of->warned);
  of->changed = true;
  auto policy = relay().policy();
  settle(*of, queue::assess(of->state, relay().due_clock.now(), policy->retry));
}

// ---- writing back

void spooler::write(entry& of, change what) {
  of.next = what;
  of.pausing = false;
  if (!of.writing && !of.reading)
    issue(of, *std::exchange(of.next, std::nullopt));
}

void spooler::issue(entry& of, const change& what) {
  of.writing = true;
  of.claimed_again.reset(); // this change ends its lease
  auto id = of.message->id;
  auto next = then([this, id, what](auto& answer) { written(id, what, answer); });
  if (what.remove) {
    store_->remove({.id = id, .hint = of.hint, .revision = 0, .ride = true}, std::move(next));
    return;
  }
  auto metadata = queue::encode_metadata(*of.message, of.state);
  if (!metadata)
    panic("the record of a message in delivery cannot be encoded");
  of.changed = false;
  store_->move({.id = id,
                .hint = of.hint,
                .revision = of.revision,
                .state = what.state,
                .due = what.due,
                .lease_until = what.keep_claimed ? relay().time.wall() + lease : wall_time{},
                .metadata = std::move(*metadata),
                .replace_metadata = true},
               std::move(next));
}

void spooler::written(const message_id& id, change what, result<plugin::outcome>& answer) {
  auto* of = find(id);
  if (of == nullptr)
    return;
  of->writing = false;
  if (answer && what.remove) {
    note_written(id, revision_gone);
    relay().counts.queue_depth.subtract();
  } else if (answer) {
    auto& commit = plugin::as<plugin::storage_commit>(*answer);
    note_written(id, commit.revision);
    of->hint = commit.hint;
    of->revision = commit.revision;
    of->kept_as = what.state;
    of->timed_out = false;
    if (what.state == HEDWIG_STATE_BOUNCED)
      relay().counts.queue_depth.subtract();
    if (what.state == HEDWIG_STATE_DEFERRED && !what.keep_claimed && handles_ && !of->next)
      send(handles_->retry_timer, due_at{what.due});
  } else if (answer.error().status == HEDWIG_E_CONFLICT) {
    look_again(*of, what);
    return;
  } else if (answer.error().status == HEDWIG_E_NOT_FOUND) {
    telemetry::log(level::error, component::spooler,
                   {"message.gone", "the store does not have a message any more that is in delivery"},
                   {{"id", id.text()}, {"error", answer.error().text()}});
    of->next.reset();
  } else {
    if (auto count = not_updated_.happened(relay().time.steady()))
      telemetry::log(level::error, component::spooler,
                     {"message.not-updated", "the store did not take an outcome; it is tried again until it does"},
                     {{"id", id.text()}, {"error", answer.error().text()}, {"count", count}});
    if (answer.error().status == HEDWIG_E_TIMEOUT) {
      of->timed_out = true;
      of->hint = {}; // where it is kept may change yet
    }
    write_later(*of, what);
  }
  leave_if_done(id);
}

void spooler::write_later(entry& of, const change& what) {
  if (!of.next)
    of.next = what;
  of.pausing = true; // deliveries read on meanwhile
  delayed_send(this, write_retry_delay, retry_write{of.message->id});
}

/// Nobody but us changes a message in delivery, so the other state is one of our own changes: one that was not answered
/// in time. What happened since is written on top of it.
void spooler::look_again(entry& of, const change& what) {
  of.writing = true;
  auto id = of.message->id;
  telemetry::log(of.timed_out ? level::info : level::error, component::spooler,
                 {"message.changed-meanwhile", "the store has another state of it than we; ours is written over it"},
                 {{"id", id.text()}, {"timed_out", of.timed_out}});
  store_->stat(id, {}, then([this, id, what](auto& answer) { seen_again(id, what, answer); }));
}

void spooler::seen_again(const message_id& id, const change& what, result<plugin::outcome>& answer) {
  auto* of = find(id);
  if (of == nullptr)
    return;
  of->writing = false;
  if (!answer) {
    write_later(*of, what); // meets its conflict again, and we look again
    leave_if_done(id);
    return;
  }
  auto& found = plugin::as<plugin::storage_entry>(*answer);
  of->hint = found.hint;
  of->revision = found.revision;
  of->kept_as = found.state;
  if (!of->next)
    of->next = what;
  leave_if_done(id);
}

void spooler::leave_if_done(const message_id& id) {
  auto* of = find(id);
  if (of == nullptr || of->writing || of->reading)
    return;
  if (of->next && !of->pausing) {
    issue(*of, *std::exchange(of->next, std::nullopt));
    return;
  }
  if (!of->reads.empty()) {
    read_next(*of);
    return;
  }
  if (of->next)
    return;
  if (of->reporting || std::ranges::any_of(of->state.recipients, [](auto& one) { return one.in_flight; }))
    return;
  if (!of->reported.empty() && !of->state.recipients[of->reported.front()].reported) {
    settle(*of, queue::assess(of->state, relay().due_clock.now(), relay().policy()->retry)); // its notification failed
    return;
  }
  leave(id);
}

void spooler::leave(const message_id& id) {
  auto gone = active_.extract(id);
  auto& of = gone.mapped();
  if (of.attempted)
    relay().attempts_open.fetch_sub(1, std::memory_order_relaxed);
  relay().counts.active_messages.set(static_cast<std::int64_t>(active_.size()));
  if (of.claimed_again && of.claimed_again->revision == of.revision) {
    std::vector<delivery_work> works;
    activate(*of.claimed_again, works);
    if (!works.empty())
      hand_out(std::move(works));
  }
  if (starved_ && handles_ && has_room()) {
    starved_ = false;
    send(handles_->retry_timer, due_at{relay().due_clock.now()});
  }
}

void spooler::on_lost(const attempts_lost& what) {
  std::vector<message_id> concerned;
  for (auto& [id, of] : active_)
    concerned.push_back(id);
  const queue::reply why{0, {}, "its delivery was cut off by an internal failure"};
  for (auto& id : concerned) {
    auto* of = find(id);
    if (of == nullptr)
      continue;
    auto back = relay().due_clock.now() + what.pause +
                std::chrono::duration_cast<std::chrono::nanoseconds>(what.pause * relay().next_share());
    std::vector<queue::outcome> lost;
    for (std::uint32_t i = 0; i < of->state.recipients.size(); ++i)
      if (of->state.recipients[i].in_flight &&
          (!what.domains || what.domains->contains(queue::domain_of(of->message->envelope.recipients[i].address))))
        lost.push_back({i, outcome_kind::returned, why, {}, back});
    if (!lost.empty())
      apply(*of, lost);
  }
}

void spooler::on_resume() {
  starved_ = false;
  if (handles_)
    send(handles_->retry_timer, due_at{relay().due_clock.now()});
}

// ---- retention

void spooler::sweep() {
  auto policy = relay().policy();
  auto& cleanup = policy->settings.storage.cleanup;
  delayed_send(this, std::chrono::ceil<std::chrono::seconds>(cleanup.interval), clean_up{});
  if (!relay().draining && cleanup.bounced_retention && !std::exchange(sweeping_, true))
    remove_expired(relay().due_clock.now() - *cleanup.bounced_retention, {}, 0);
}

/// What bounced before `before`, page after page; the next one only when the removals of this one are through.
void spooler::remove_expired(wall_time before, std::string cursor, std::size_t removed) {
  plugin::list_request list{.states = HEDWIG_STATE_MASK(HEDWIG_STATE_BOUNCED),
                            .due_before = before,
                            .cursor = std::move(cursor),
                            .limit = cleanup_limit};
  store_->list(std::move(list), then([this, before, removed](auto& answer) {
                 auto* page = answer ? &plugin::as<plugin::storage_listing>(*answer) : nullptr;
                 auto round = std::make_shared<cleaning>();
                 round->before = before;
                 round->removed = removed;
                 if (page != nullptr) {
                   round->cursor = page->cursor;
                   for (auto& one : page->entries)
                     if (find(one.id) == nullptr && !console_works_.contains(one.id))
                       remove_one_expired(one, round);
                 }
                 if (round->waiting == 0)
                   end_round(*round);
               }));
}

void spooler::remove_one_expired(const plugin::storage_entry& old, const std::shared_ptr<cleaning>& round) {
  ++round->waiting;
  store_->remove({.id = old.id, .hint = old.hint, .revision = old.revision, .ride = true},
                 then([this, round](auto& answer) {
                   round->removed += answer.has_value();
                   if (--round->waiting == 0)
                     end_round(*round);
                 }));
}

void spooler::end_round(const cleaning& round) {
  if (!round.cursor.empty() && !relay().draining) {
    remove_expired(round.before, round.cursor, round.removed);
    return;
  }
  sweeping_ = false;
  if (round.removed > 0)
    telemetry::log(level::info, component::spooler,
                   {"queue.cleaned", "bounced messages beyond storage.cleanup.bounced_retention removed"},
                   {{"messages", round.removed}});
}

} // namespace hedwig
