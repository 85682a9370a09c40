// SPDX-License-Identifier: Apache-2.0
// What the console asks of the spooler: the queue, listed, shown and changed. A message that is active is changed once
// its attempt has ended; one that rests is changed in the store at once.
#include "actors/spooler.hpp"

#include "actors/console_json.hpp"
#include "runtime/queue/metadata.hpp"
#include "runtime/telemetry/log.hpp"

#include <algorithm>
#include <limits>

namespace hedwig {

using telemetry::component;
using telemetry::level;

namespace {

constexpr auto not_found_text = "no such message: it was delivered, deleted, or never here";
constexpr auto after_attempt = "after the attempt that is under way";

void answer_failure(const console_request& request, std::string why, hedwig_status status) {
  request.answer([why = std::move(why)] { return console::failure(why); }, status);
}

void answer_failure(const console_request& request, const error& why) {
  auto missing = why.status == HEDWIG_E_NOT_FOUND;
  answer_failure(request, missing ? not_found_text : why.text(), why.status);
}

void answer_changed(const console_request& request, const char* when, bool done = true) {
  request.answer(
      [id = request.argument, when, done] {
        Poco::JSON::Object object;
        object.set("id", console::utf8_text(id));
        object.set("done", done);
        object.set("when", when);
        return console::text_of(object);
      },
      HEDWIG_OK);
}

void answer_shown(const console_request& request, const console::row& one) {
  std::string why;
  auto text = console::show(one, why);
  if (!text)
    answer_failure(request, why, HEDWIG_E_CORRUPT);
  else
    request.answer([text = std::move(*text)] { return text; }, HEDWIG_OK);
}

const queue::reply operators_bounce{554, "5.7.1", "Bounced by the operator"};

} // namespace

struct spooler::bounce_plan {
  queue::message message;
  queue::record state;
  std::vector<queue::outcome> outcomes;
  queue::decision made;
};

void spooler::on_console(const console_request& request) {
  if (request.verb == "queue.list")
    console_list(request);
  else if (request.verb == "resume" || request.verb == "pause")
    console_pause(request);
  else
    console_one(request);
}

void spooler::console_pause(const console_request& request) {
  auto paused = request.verb == "pause";
  relay().paused = paused;
  telemetry::log(level::info, component::admin, {"relay.pause-set", "delivery paused or resumed by the console"},
                 {{"paused", paused}});
  if (!paused)
    on_resume();
  request.answer(
      [paused] {
        Poco::JSON::Object object;
        object.set("paused", paused);
        return console::text_of(object);
      },
      HEDWIG_OK);
}

void spooler::console_list(const console_request& request) {
  plugin::list_request list{.states = console::mask_of_states(request.argument),
                            .by_receipt = true,
                            .metadata = true,
                            .cursor = request.cursor,
                            .limit = request.limit};
  store_->list(std::move(list), then([this, request](auto& answer) {
                 if (!answer) {
                   answer_failure(request, answer.error());
                   return;
                 }
                 auto& listing = plugin::as<plugin::storage_listing>(*answer);
                 auto rows = std::make_shared<std::vector<console::row>>();
                 for (auto& found : listing.entries) {
                   auto* live = find(found.id);
                   rows->push_back({std::move(found), {}, {}});
                   if (live != nullptr) {
                     rows->back().message = live->message;
                     rows->back().state = live->state;
                   }
                 }
                 request.answer([rows, cursor = std::move(listing.cursor)] { return console::list(*rows, cursor); },
                                HEDWIG_OK);
               }));
}

// ---- one message

void spooler::console_one(const console_request& request) {
  auto id = message_id::parse(request.argument);
  if (!id) {
    answer_failure(request, "not a message id: it has 26 letters and digits", HEDWIG_E_INVALID);
    return;
  }
  if (auto* live = find(*id)) {
    if (request.verb == "queue.show")
      answer_shown(request, {{.id = *id, .metadata = {}}, live->message, live->state});
    else
      change_active(*live, request);
    return;
  }
  auto [work, first] = console_works_.try_emplace(*id);
  if (!first) {
    work->second.next.push_back(request);
    return;
  }
  store_->stat(*id, {}, then([this, request, id = *id](auto& answer) {
    if (!answer) {
      answer_failure(request, answer.error());
      end_console_work(id, 0);
    } else if (auto& found = plugin::as<plugin::storage_entry>(*answer); request.verb == "queue.show") {
      answer_shown(request, {std::move(found), {}, {}});
      end_console_work(id, 0);
    } else {
      change_stored(found, request);
    }
  }));
}

/// `written`: the revision from which on a claim is of our making; 0 when nothing was written.
void spooler::end_console_work(const message_id& id, std::uint64_t written) {
  auto work = console_works_.extract(id);
  if (work.empty())
    return;
  // A write ended the lease of a claim before it; a claim after it, or without one, is ours to serve.
  auto& claimed = work.mapped().claimed;
  if (claimed && claimed->revision >= written) {
    std::vector<delivery_work> works;
    activate(*claimed, works);
    if (!works.empty())
      hand_out(std::move(works));
  }
  for (auto& next : work.mapped().next)
    on_console(next);
}

const char* spooler::when_tried() const { return relay().paused ? "once deliveries are resumed" : "now"; }

// ---- changing an active one

void spooler::change_active(entry& of, const console_request& request) {
  auto now = relay().due_clock.now();
  auto& all = of.state.recipients;
  auto in_flight = std::ranges::any_of(all, [](auto& one) { return one.in_flight; });
  if (std::ranges::none_of(all, [](auto& one) { return one.status == queue::recipient_status::pending; })) {
    answer_failure(request, "its last attempt has just ended: look again in a moment", HEDWIG_E_CONFLICT);
    return;
  }
  if (request.verb == "queue.release" && !std::exchange(of.hold_wanted, false)) {
    answer_failure(request, "it is not held: it is in delivery", HEDWIG_E_CONFLICT);
    return;
  }
  telemetry::log(level::info, component::admin, {"queue.changed", "the console changes a message"},
                 {{"verb", request.verb}, {"id", request.argument}, {"active", true}});
  of.hold_wanted |= request.verb == "queue.hold";
  of.delete_wanted |= request.verb == "queue.delete";
  of.bounce_wanted |= request.verb == "queue.bounce";
  if (request.verb == "queue.retry") {
    relay().retries_asked.fetch_add(1, std::memory_order_relaxed);
    queue::make_due(of.state, now);
    of.changed = true;
  }
  auto later = in_flight || of.reporting;
  auto immediate = !later || request.verb == "queue.release" || (request.verb == "queue.retry" && in_flight);
  answer_changed(request, immediate ? "now" : after_attempt, immediate);
  if (!later)
    settle(of, queue::assess(of.state, now, relay().policy()->retry));
}

// ---- changing a stored one

void spooler::change_stored(plugin::storage_entry& found, const console_request& request) {
  if (auto why = console::refusal(request.verb, found.state); !why.empty()) {
    answer_failure(request, std::string{why}, HEDWIG_E_CONFLICT);
    end_console_work(found.id, 0);
    return;
  }
  if (request.verb == "queue.hold" && found.state == HEDWIG_STATE_HELD) {
    answer_changed(request, "it was held already");
    end_console_work(found.id, 0);
    return;
  }
  telemetry::log(level::info, component::admin, {"queue.changed", "the console changes a message"},
                 {{"verb", request.verb}, {"id", request.argument}, {"active", false}});
  if (request.verb == "queue.delete")
    delete_stored(found, request);
  else
    move_stored(found, request);
}

void spooler::delete_stored(const plugin::storage_entry& found, const console_request& request) {
  auto waited = found.state != HEDWIG_STATE_BOUNCED;
  auto next = then([this, request, id = found.id, waited](auto& answer) {
    if (!answer) {
      answer_failure(request, answer.error());
      end_console_work(id, 0);
      return;
    }
    note_written(id, std::numeric_limits<std::uint64_t>::max());
    if (waited)
      relay().counts.queue_depth.subtract();
    answer_changed(request, "now");
    end_console_work(id, std::numeric_limits<std::uint64_t>::max());
  });
  store_->remove({.id = found.id, .hint = found.hint, .revision = found.revision, .ride = false}, std::move(next));
}

void spooler::move_stored(const plugin::storage_entry& found, const console_request& request) {
  auto known = queue::decode_metadata(found.metadata, found.id);
  if (!known) {
    answer_failure(request, "damaged, it can only be deleted: " + known.error().text(), HEDWIG_E_CORRUPT);
    end_console_work(found.id, 0);
    return;
  }
  known->message.size = found.body_size;
  auto now = relay().due_clock.now();
  auto& state = known->record;
  state.held = request.verb == "queue.hold";
  plugin::move_request move{.id = found.id,
                            .hint = found.hint,
                            .revision = found.revision,
                            .state = state.held ? std::uint32_t{HEDWIG_STATE_HELD} : HEDWIG_STATE_DEFERRED,
                            .due = state.held ? found.due : now,
                            .metadata = {},
                            .replace_metadata = true};
  bounce_plan plan;
  if (request.verb == "queue.bounce") {
    plan.outcomes = queue::fail_pending(state, operators_bounce);
    plan.made = queue::apply(state, plan.outcomes, now, relay().policy()->retry, 0);
  } else if (!state.held) {
    queue::make_due(state, now);
  }
  auto metadata = queue::encode_metadata(known->message, state);
  if (!metadata) {
    answer_failure(request, metadata.error());
    end_console_work(found.id, 0);
    return;
  }
  move.metadata = std::move(*metadata);
  plan.message = std::move(known->message);
  plan.state = std::move(state);
  auto next = [this, request, id = found.id, bounced = found.state == HEDWIG_STATE_BOUNCED,
               plan = std::move(plan)](auto& answer) mutable {
    if (answer && bounced)
      relay().counts.queue_depth.add();
    moved_stored(request, id, std::move(plan), answer);
  };
  store_->move(std::move(move), then(std::move(next)));
}

void spooler::moved_stored(const console_request& request, const message_id& id, bounce_plan plan,
                           result<plugin::outcome>& answer) {
  if (!answer) {
    answer_failure(request, answer.error());
    end_console_work(id, 0);
    return;
  }
  auto& commit = plugin::as<plugin::storage_commit>(*answer);
  note_written(id, commit.revision);
  auto tried = request.verb == "queue.retry" || request.verb == "queue.release";
  if (request.verb == "queue.retry")
    relay().retries_asked.fetch_add(1, std::memory_order_relaxed);
  answer_changed(request, tried ? when_tried() : "now");
  if (request.verb == "queue.bounce") {
    // Failed on disk; what is left is what every failure has: the log line, the notification, the state "bounced".
    auto& fresh = enter(std::make_shared<const queue::message>(std::move(plan.message)), std::move(plan.state),
                        commit.hint, commit.revision);
    log_outcomes(fresh, plan.outcomes, plan.made);
    settle(fresh, queue::assess(fresh.state, relay().due_clock.now(), relay().policy()->retry));
  }
  end_console_work(id, commit.revision);
  if (tried && handles_)
    send(handles_->retry_timer, due_at{relay().due_clock.now()});
}

} // namespace hedwig
