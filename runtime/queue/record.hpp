// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/base/clock.hpp"
#include "runtime/queue/message.hpp"
#include "runtime/queue/retry_schedule.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hedwig::queue {

/// Most bytes kept of a reply text, of a remote's name and of an error text; longer ones are cut.
inline constexpr std::size_t reply_text_size_max = 512;
inline constexpr std::size_t remote_size_max = 255;

/// WARNING: the numbers are on disk.
enum class recipient_status : std::uint8_t {
  pending = 0,   ///< to be tried, or being tried
  delivered = 1, ///< a server said 250 to the final dot; never tried again
  failed = 2,    ///< a permanent reply or an operator ended it
  expired = 3    ///< max_retries or expire_after ended it; last_reply holds the last reason
};

/// "pending", "delivered", "failed", "expired".
[[nodiscard]] std::string_view to_string_view(recipient_status status) noexcept;

/// What a server answered, or what we made of its silence (then code is 0).
struct reply {
  std::uint16_t code = 0; ///< 250, 451, 550; 0 when no SMTP reply was there (DNS, connection)
  std::string status;     ///< enhanced code "4.4.1"; empty when unknown
  std::string text;       ///< the rest on one line, unescaped

  friend bool operator==(const reply&, const reply&) = default;
};

/// What changes for one recipient. Stands at the same index as in the envelope.
struct recipient_state {
  recipient_status status = recipient_status::pending;
  std::uint32_t attempts = 0; ///< attempts that ended, whatever their end
  std::uint32_t unknown = 0;  ///< attempts whose link broke between the final dot and the reply
  reply last_reply;
  std::string remote;       ///< the last server asked: "mx1.example.com[192.0.2.1]:25"
  wall_time last_attempt{}; ///< the epoch before the first
  wall_time due{};          ///< when to try next; while pending
  bool reported = false;    ///< the sender has a DSN about its end (or needs none)
  bool delay_warned = false;
  bool success_due = false; ///< delivered, and the sender is to be told by us (until `reported`)
  bool in_flight = false;   ///< some delivery works on it now; never stored

  friend bool operator==(const recipient_state&, const recipient_state&) = default;
};

/// The part of a message that changes. Belongs to the dispatcher's side; committed to the store as metadata.
struct record {
  std::vector<recipient_state> recipients;
  std::uint32_t attempts = 0; ///< rounds in which somebody was tried
  wall_time first_queued{};
  /// From the envelope, see take_limits(); the epoch: none.
  wall_time held_until{};  ///< its life begins
  wall_time return_at{};   ///< whoever is pending then is given up
  wall_time warn_at{};     ///< the sender is told once that it is late
  wall_time next_due{};    ///< due of the message in the store: the soonest due of a pending recipient
  bool held = false;       ///< waits for a person
  std::string last_error;  ///< one sentence, for `queue show`: how the last attempt failed, or what it waits for
  bool round_open = false; ///< of the round that runs nobody was tried yet; never stored

  friend bool operator==(const record&, const record&) = default;
};

/// The times that the sender of the message set.
void take_limits(record& of, const envelope& from);

/// When the age of a message begins to count: with its first queueing, or when the sender released it.
[[nodiscard]] wall_time life_begins(const record& of) noexcept;
/// What is pending is given up then at the latest.
[[nodiscard]] wall_time life_ends(const record& of, const retry_policy& policy) noexcept;

/// A fresh record: every recipient pending and due at `now`, or when the sender releases it.
[[nodiscard]] record make_record(const message& taken, wall_time now);

enum class outcome_kind : std::uint8_t {
  delivered, ///< 250 to the final dot
  deferred,  ///< temporary: 4xx, connection, DNS
  failed,    ///< permanent: 5xx, NXDOMAIN, null MX, an operator's bounce
  unknown,   ///< link lost after the final dot: tried again, counted
  returned   ///< no attempt was made (shutdown, a limit, a resting destination): pending again, not counted
};

/// How one attempt for one recipient ended.
struct outcome {
  std::uint32_t recipient = 0; ///< index into the envelope; out of range is ignored
  outcome_kind kind = outcome_kind::deferred;
  queue::reply reply; ///< of a returned one: its text says what it waits for, if there is something to say
  std::string remote;
  wall_time due{};           ///< of a returned one: when to try; in the past: at once
  bool tell_success = false; ///< of a delivered one: the sender asked to hear of it, and the server will not tell him
};

/// See apply().
inline constexpr std::chrono::nanoseconds late_grace = std::chrono::hours{1};

/// What the dispatcher is to do with a message after outcomes were applied. Commit the record first, then act.
enum class next_step : std::uint8_t {
  wait,   ///< others of its recipients are in flight: only commit the record (MOVE, state DEFERRED, `due`, which is
          ///< an initial_delay away; whoever finds the message due before the last outcome leaves it alone)
  defer,  ///< nothing in flight: MOVE to DEFERRED with `due`
  remove, ///< everybody delivered: REMOVE
  bounce, ///< all ended and somebody failed: report, then MOVE to BOUNCED (or REMOVE, as retention says)
  hold    ///< nothing in flight, somebody pending, and held: MOVE to HELD
};

struct decision {
  next_step step = next_step::wait;
  wall_time due{}; ///< for wait and defer

  /// What this call changed, for log and metrics; indices into the envelope.
  std::vector<std::uint32_t> delivered;
  std::vector<std::uint32_t> deferred; ///< unknown ones too
  std::vector<std::uint32_t> failed;   ///< failed or expired

  /// Filled only when nothing is in flight any more, so that one round makes one DSN of a kind: failures the sender has
  /// not heard of, successes he asked for, and recipients the delay warning is now due for. After the DSN is durable:
  /// mark_reported, mark_warned.
  std::vector<std::uint32_t> report;
  std::vector<std::uint32_t> succeed;
  std::vector<std::uint32_t> warn;
};

/// Recipients to try now: pending, not in flight, due by `now`. `horizon` also takes what is due a little later, so
/// that recipients of one destination stay in one transaction.
[[nodiscard]] std::vector<std::uint32_t> due_recipients(const record& of, wall_time now,
                                                        std::chrono::nanoseconds horizon = std::chrono::seconds{1});

/// Marks them in flight and begins a round, which counts once somebody was tried. Ended recipients and indices out of
/// range are left alone.
void begin_attempt(record& of, std::span<const std::uint32_t> recipients);

/// Applies outcomes as they come in, some or all. An ended recipient never changes again, whatever comes. `random`,
/// uniform in [0, 1), spreads the retry; one number a call keeps recipients of one destination together. Whichever of
/// max_retries and expire_after comes first ends a recipient as expired, with the reason of its last attempt; the last
/// attempt is planned no later than the expiry. An attempt that came late_grace or more after its due time (the relay
/// was off, or the clock jumped) does not expire anybody by age: one more follows. Who is held back with a reason
/// (returned) expires by age like who was tried.
[[nodiscard]] decision apply(record& to, std::span<const outcome> outcomes, wall_time now, const retry_policy& policy,
                             double random);

/// The decision as it stands without a new outcome: after a restart, after a hold was released.
[[nodiscard]] decision assess(const record& of, wall_time now, const retry_policy& policy);

/// The sender was told (or has a null reverse-path and is not to be told).
void mark_reported(record& of, std::span<const std::uint32_t> recipients);
void mark_warned(record& of, std::span<const std::uint32_t> recipients);

/// Makes every pending recipient due at `now`: `hedwig-admin queue retry`.
void make_due(record& of, wall_time now);

/// Outcomes that fail everybody who is pending once the sender's time is over (RFC 2852, by-mode R); else none.
[[nodiscard]] std::vector<outcome> fail_overdue(const record& of, wall_time now);
/// What they are told.
[[nodiscard]] reply overdue_reply();

/// Outcomes that fail everybody who is pending and not in flight: `hedwig-admin queue bounce`, an expired hold.
[[nodiscard]] std::vector<outcome> fail_pending(const record& of, const reply& why);

} // namespace hedwig::queue
