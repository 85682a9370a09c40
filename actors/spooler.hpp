// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "actors/messages.hpp"
#include "actors/observed_actor.hpp"
#include "runtime/plugin/storage_client.hpp"
#include "runtime/telemetry/log_throttle.hpp"

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace hedwig {

/// The only way to the store, and the one place that knows the state of each message in delivery: it puts what sessions
/// bring, hands on what is due, merges the outcomes of attempts into the record and commits that. A message is "active"
/// from its PUT or CLAIM until its outcome is on disk; their number and bytes are limited.
class spooler final : public observed_actor {
public:
  spooler(caf::actor_config& config, relay_context& context, const actor_place& place);

private:
  /// How the store is to keep a message from now on.
  struct change {
    bool remove = false;
    std::uint32_t state = HEDWIG_STATE_DEFERRED;
    wall_time due{};
    bool keep_claimed = false; ///< others of its recipients are still being tried
  };
  /// Somebody waits for a body or a part of it.
  struct body_reading {
    load_body question;
    memory_hold memory;                                    ///< of a part
    std::shared_ptr<rope> body = std::make_shared<rope>(); ///< what was read of it
  };
  /// An active message.
  struct entry {
    queue::message_ptr message;
    queue::record state;
    hedwig_storage_hint hint{};
    std::uint64_t revision = 0;
    steady_time began{};                         ///< of this activity
    std::uint32_t kept_as = HEDWIG_STATE_QUEUED; ///< its state in the store
    bool counted = false;                        ///< the end of its attempt is
    bool writing = false;                        ///< a change is with the store
    std::optional<change> next;          ///< the latest one that waits for it: outcomes meanwhile are merged into one
    bool reporting = false;              ///< the bouncer makes a notification about it
    bool changed = false;                ///< the record differs from what the store has
    std::vector<std::uint32_t> reported; ///< by the notification under way
    std::vector<std::uint32_t> warned;
    bool timed_out = false; ///< a change was not answered in time, and may still be made
    /// A claim found it right after a change that ended its lease, and spoke before that change was answered.
    std::optional<plugin::storage_entry> claimed_again;
    bool hold_wanted = false; ///< by an operator, once the attempt ends
    bool delete_wanted = false;
    bool bounce_wanted = false;
    std::string damage;     ///< why its body cannot be read, ever: it goes to quarantine
    bool attempted = false; ///< it is out for delivery
    bool pausing = false;   ///< `next` waits before it is tried again
    bool reading = false;   ///< its body is read; a store has one request a message at a time
    std::deque<body_reading> reads;
  };
  using ledger = std::unordered_map<message_id, entry>;
  /// What is done when the store has answered.
  using continuation = std::function<void(result<plugin::outcome>&)>;

  caf::behavior make_behavior() override;
  void on_exit() override;
  void count_what_is_there();
  void look_at_clock(); // spooler_clock.cpp
  void take_stock();
  void show_stock(const plugin::storage_statistics& found);
  void count_commits(const plugin_answers& answers);

  // messages
  void on_store(store_message& request);
  void on_answers(plugin_answers& answers);
  void on_outcome(const attempt_outcome& ended);
  void on_lost(const attempts_lost& what);
  void on_claim_due(const claim_due& question);
  void on_load_body(const load_body& question);
  void on_stage_part(stage_part& part);
  void on_drop_stage(const drop_stage& what);
  void on_down(const caf::down_msg& down);
  void on_rewire(const rewire& fresh);
  void on_console(const console_request& request);
  void on_resume();
  void sweep();
  struct cleaning {
    wall_time before{};
    std::string cursor;      ///< of the next page; empty: there is none
    std::size_t removed = 0; ///< in all pages so far
    std::size_t waiting = 0; ///< removals of this page that the store has not answered
  };
  void remove_expired(wall_time before, std::string cursor, std::size_t removed);
  void remove_one_expired(const plugin::storage_entry& old, const std::shared_ptr<cleaning>& round);
  void end_round(const cleaning& round);

  // accepting
  void stored(store_message& request, queue::record state, bool admitted, result<plugin::outcome>& answer);
  void report_not_stored(const queue::message& message, const error& why);
  void count_stored(const plugin::storage_commit& commit, const queue::message& message);
  [[nodiscard]] bool has_room() const;

  // bodies (spooler_bodies.cpp)
  struct staging;
  using stages = std::unordered_map<message_id, staging>;
  void begin_stage(stage_part& part);
  void append(const message_id& id, stage_part& part);
  void appended(const message_id& id, const caf::actor& reply_to, result<plugin::outcome>& answer);
  void discard(stages::iterator which);
  /// The store's number of what was staged for a message, which is the caller's now; 0: there is nothing.
  [[nodiscard]] std::uint64_t take_stage(const message_id& id);
  [[nodiscard]] memory_hold give_room(entry& of);
  [[nodiscard]] bool take_memory(body_reading& part, std::uint64_t size);
  void serve_waiting_parts();
  void look_for_memory_later();
  void read_next(entry& of);
  void read_on(const message_id& id, body_reading work);
  void body_read(const message_id& id, body_reading work, result<plugin::outcome>& answer);
  void not_readable(const message_id& id, const error& why);
  void answer_unread(const load_body& question, hedwig_status why);

  // handing out
  void claimed_from_store(wall_time before, std::uint32_t limit, result<plugin::outcome>& answer);
  [[nodiscard]] bool is_stale(const plugin::storage_entry& found) const;
  void note_written(const message_id& id, std::uint64_t revision);
  void activate(plugin::storage_entry& found, std::vector<delivery_work>& works);
  void set_aside(const plugin::storage_entry& damaged, const error& why);
  void drop_outbound(entry& of);
  void start_attempt(entry& of, std::vector<std::uint32_t> recipients, std::vector<delivery_work>& works);
  entry& enter(queue::message_ptr message, queue::record state, hedwig_storage_hint hint, std::uint64_t revision);

  // settling
  void apply(entry& to, std::span<const queue::outcome> outcomes);
  void log_outcomes(const entry& of, std::span<const queue::outcome> outcomes, const queue::decision& made);
  void settle(entry& of, const queue::decision& made);
  void ask_for_report(entry& of, const queue::decision& made);
  void send_report(entry& of, mail::dsn_kind kind, const std::vector<std::uint32_t>& recipients);
  void reported(const message_id& about, bool durable);
  void write(entry& of, change what);
  void issue(entry& of, const change& what);
  void written(const message_id& id, change what, result<plugin::outcome>& answer);
  void look_again(entry& of, const change& what);
  void seen_again(const message_id& id, const change& what, result<plugin::outcome>& answer);
  void write_later(entry& of, const change& what);
  void leave_if_done(const message_id& id);
  void leave(const message_id& id);
  void hand_out(std::vector<delivery_work> works);

  [[nodiscard]] plugin::reply_to then(continuation next);
  [[nodiscard]] entry* find(const message_id& id);

  // the console (spooler_console.cpp)
  struct bounce_plan;
  void console_pause(const console_request& request);
  void console_list(const console_request& request);
  void console_one(const console_request& request);
  void change_active(entry& of, const console_request& request);
  void change_stored(plugin::storage_entry& found, const console_request& request);
  void delete_stored(const plugin::storage_entry& found, const console_request& request);
  void move_stored(const plugin::storage_entry& found, const console_request& request);
  void moved_stored(const console_request& request, const message_id& id, bounce_plan plan,
                    result<plugin::outcome>& answer);
  void end_console_work(const message_id& id, std::uint64_t written);
  [[nodiscard]] const char* when_tried() const;

  std::shared_ptr<plugin::storage_client> store_;
  std::shared_ptr<plugin::completion_sink> sink_;
  std::shared_ptr<const wiring> handles_;
  std::unordered_map<std::uint64_t, continuation> open_; ///< calls that the store has not answered; bounded by it
  std::uint64_t last_tag_ = 0;
  ledger active_;
  std::size_t reserved_ = 0;         ///< messages on their way into the ledger
  bool starved_ = false;             ///< something due was left in the store for lack of room
  std::vector<delivery_work> fresh_; ///< gathered while the answers of one group are handled
  /// A message in the store that the console looks at or changes: a store has one request a message at a time.
  struct console_work {
    std::optional<plugin::storage_entry> claimed; ///< it fell due meanwhile
    std::deque<console_request> next;             ///< bounded by the connections of the admin API
  };
  std::unordered_map<message_id, console_work> console_works_;
  attempt_counters attempts_;
  telemetry::log_throttle not_updated_{std::chrono::seconds{10}};
  bool sweeping_ = false;    ///< a round of the retention is under way
  bool stock_asked_ = false; ///< the store has not said yet what it holds
  bool stock_known_ = false; ///< it has said it once
  bool claim_open_ = false;  ///< a claim is with the store
  std::string claim_cursor_; ///< where the store cut the last one short
  /// What was written meanwhile, and from which revision on: an answer that tells of an older one comes too late.
  std::unordered_map<message_id, std::uint64_t> written_during_claim_;
  /// A body on its way into the store, by the id that its message will have.
  struct staging {
    caf::actor_addr owner;    ///< the session
    std::uint64_t number = 0; ///< the store's; 0 until it has given one
    bool busy = false;        ///< a request about it is with the store
    bool dropped = false;     ///< by its owner, meanwhile
  };
  stages stages_;                          ///< bounded by the store
  std::deque<body_reading> waiting_parts_; ///< for memory; bounded by who reads: deliveries, signers, notifications
  bool looking_for_memory_ = false;
};

} // namespace hedwig
