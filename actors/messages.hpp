// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/base/buffer.hpp"
#include "runtime/base/error.hpp"
#include "runtime/base/message_id.hpp"
#include "runtime/dns/resolver.hpp"
#include "runtime/mail/dsn.hpp"
#include "runtime/plugin/completion.hpp"
#include "runtime/queue/message.hpp"
#include "runtime/queue/record.hpp"
#include "runtime/queue/route.hpp"
#include "runtime/smtp/outcome.hpp"
#include "runtime/smtp/sasl.hpp"

#include <caf/actor.hpp>
#include <caf/allowed_unsafe_message_type.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

// The whole conversation of the relay, in the order in which a message goes round:
//
//   session ─▶ authenticator ─▶ session
//   session ─▶ spooler ─▶ session                     stage_part, part_staged; store_message, message_stored
//   spooler ─▶ dispatcher                             dispatch
//   DNS ─▶ dispatcher, delivery                       mail_hosts_found, addresses_found
//   dispatcher ─▶ spooler ─▶ dispatcher               load_body, body_loaded
//   dispatcher ─▶ signer ─▶ dispatcher                sign_work, work_signed
//   signer, delivery, bouncer ─▶ spooler ─▶ them      load_body, body_loaded: part by part
//   dispatcher ─▶ destination                         deliver
//   destination ─▶ delivery ─▶ destination            deliver, delivery_status, job_returned
//   delivery, destination, dispatcher ─▶ spooler      attempt_outcome
//   spooler ─▶ bouncer ─▶ spooler                     report_failure, store_message
//   spooler ─▶ retry timer ─▶ spooler                 due_at, claim_due, claimed
//
// All of them stay inside one process: bodies and handles are shared, never serialised.
namespace hedwig {

/// Handles that are renewed when an actor is restarted; the supervisor sends them to all who use them.
struct wiring {
  caf::actor spooler;
  caf::actor dispatcher;
  caf::actor authenticator;
  caf::actor bouncer;
  caf::actor retry_timer;
  std::vector<caf::actor> signers;
};
/// supervisor ─▶ everybody
struct rewire {
  std::shared_ptr<const wiring> handles;
};

/// plugin host ─▶ the actor that made the calls: all answers of one completion.
struct plugin_answers {
  std::vector<plugin::completion> done;
};

// ---- receiving

/// session ─▶ authenticator
struct authenticate {
  plugin::auth_request request;
  smtp::sasl_question question = smtp::sasl_question::password;
  caf::actor reply_to;
  std::uint64_t token = 0; ///< comes back; the session may have gone on
};
/// authenticator ─▶ session
struct authenticated {
  std::uint64_t token = 0;
  hedwig_status status = HEDWIG_E_INTERNAL; ///< HEDWIG_OK with an identity, HEDWIG_E_DENIED, or temporary
  std::string identity;
  std::vector<std::string> senders; ///< patterns of those allowed; none: any
  plugin::auth_limits limits;
  std::shared_ptr<const plugin::user_facts> facts = nullptr; ///< for filters
  std::optional<smtp::scram_keys> keys =
      {}; ///< of SCRAM: the rest holds once a proof fits; unknown users have some, too
};

/// session ─▶ spooler: a part of a message that is too large for memory, while it arrives. One at a time; each is
/// answered by a part_staged. Ends with a store_message or a drop_stage, or with the session.
struct stage_part {
  message_id id; ///< that the message will have
  rope part;
  memory_hold memory; ///< what the part takes of the budget
  std::uint64_t size_hint = 0;
  bool first = false;
  caf::actor reply_to;
};
/// spooler ─▶ session: it wants more. With an error everything staged so far is gone.
struct part_staged {
  message_id id;
  hedwig_status status = HEDWIG_E_INTERNAL;
};
/// session ─▶ spooler: what was staged is not wanted any more.
struct drop_stage {
  message_id id;
};

/// session ─▶ spooler; bouncer ─▶ spooler. Answered by exactly one message_stored.
struct store_message {
  queue::message_ptr message; ///< with its body, unless it is staged
  bool quarantine = false;    ///< kept, not delivered
  caf::actor reply_to;        ///< may be null
  std::uint64_t token = 0;
  /// Of a delivery status notification: the message it reports on, which is settled once this one is durable.
  std::shared_ptr<const queue::message> about;
  /// All but these, its last bytes, was staged under its id.
  std::optional<rope> staged_rest = {};
};
/// spooler ─▶ session. HEDWIG_OK: the message would survive a power cut.
struct message_stored {
  std::uint64_t token = 0;
  message_id id;
  hedwig_status status = HEDWIG_E_INTERNAL;
};

// ---- delivering

/// One message and those of its recipients that are to be tried now.
struct delivery_work {
  queue::message_ptr message; ///< its body may not be loaded
  std::vector<std::uint32_t> recipients;
  /// The room that its body has in memory. Without body and room, who needs the body reads it in parts.
  memory_hold room = {};
};
/// spooler ─▶ dispatcher
struct dispatch {
  std::vector<delivery_work> works;
};

/// resolver's thread ─▶ dispatcher
struct mail_hosts_found {
  std::string domain;
  std::shared_ptr<const dns::mx_answer> answer;
};
/// resolver's thread ─▶ delivery
struct addresses_found {
  std::uint64_t token = 0; ///< of the look-up; a late one is ignored
  std::shared_ptr<const dns::address_answer> answer;
};

/// dispatcher, signer, delivery, bouncer ─▶ spooler. Answered by exactly one body_loaded, which may take its time: of
/// a part, until there is room in memory for it.
struct load_body {
  message_id id;
  caf::actor reply_to;
  std::uint64_t token = 0;  ///< comes back
  std::uint64_t offset = 0; ///< with `length`: a part
  std::uint64_t length = 0; ///< of the part; 0: the whole body, whose room the asker has
};
/// spooler ─▶ dispatcher, signer, delivery, bouncer; null when the message is gone or its body unreadable
struct body_loaded {
  message_id id;
  /// What was asked for, but for a part that reaches beyond the end. Of a part, the bytes count until they are freed.
  std::shared_ptr<const rope> body;
  hedwig_status status = HEDWIG_OK; ///< why there is none
  std::uint64_t token = 0;
};
/// What its recipients are put off with.
[[nodiscard]] inline queue::reply body_unreadable() {
  return {0, "4.3.0", "its body could not be read from the spool"};
}

/// Where a transaction goes: hosts in the order to try them. Immutable and shared.
struct site {
  std::string key; ///< names the destination: equal keys share a pool
  std::vector<queue::next_hop> hosts;
  std::vector<std::uint16_t> preferences; ///< of the hosts, where found by MX: equal ones share the load
  queue::tls_mode tls = queue::tls_mode::opportunistic;
  bool found_by_dns = true; ///< addresses are subject to the policy on private ones
  /// Nobody but the owner of the domain or the operator can have named the hosts: by DNSSEC, a route, or the domain
  /// itself.
  bool certain = true;
  bool requiretls = false; ///< for mail with REQUIRETLS (RFC 8689)
};
using site_ptr = std::shared_ptr<const site>;

/// Some recipients of one message that go to one destination in one transaction.
struct delivery_job {
  queue::message_ptr message; ///< without its body where that is sent as it is read
  std::vector<std::uint32_t> recipients;
  slice signature; ///< DKIM-Signature fields to put in front; may be empty
  site_ptr destination;
};
/// dispatcher ─▶ signer. The jobs stay with the dispatcher, which alone gives destinations work: one that it releases
/// has all it will ever get.
struct sign_work {
  std::uint64_t number = 0;   ///< comes back; what a lost signer had is given out again under another one
  queue::message_ptr message; ///< without its body where that is signed as it is read
  caf::actor reply_to;
};
/// signer ─▶ dispatcher
struct work_signed {
  std::uint64_t number = 0;
  slice signature;                  ///< empty where it could not be signed
  hedwig_status status = HEDWIG_OK; ///< or why its body could not be read
};
/// dispatcher ─▶ destination; destination ─▶ delivery
struct deliver {
  delivery_job job;
};

/// delivery ─▶ destination
struct delivery_status {
  enum class kind : std::uint8_t {
    ready,  ///< takes a job
    failed, ///< no host could be used: `cause` holds for what waits; takes no job any more
    ended   ///< the connection is over; takes no job any more
  };
  kind what = kind::ready;
  std::uint64_t connection = 0; ///< the destination's own number for it
  smtp::verdict cause;
  std::string remote; ///< the host that was asked last
};
/// delivery ─▶ destination: it came too late, the connection had ended.
struct job_returned {
  delivery_job job;
};
/// destination ─▶ delivery, dispatcher ─▶ destination: no more work will come; finish and end.
struct release {};
/// destination ─▶ dispatcher: nothing to do for a while; answered by release.
struct destination_idle {
  std::string key;
};

/// delivery, destination, dispatcher ─▶ spooler: how an attempt ended for some recipients. Each recipient of each
/// dispatched work is named by exactly one of these.
struct attempt_outcome {
  message_id id;
  std::vector<queue::outcome> outcomes;
};

/// supervisor, dispatcher ─▶ spooler: an actor died with attempts in its hands; recipients of these domains that are in
/// flight go back to waiting.
struct attempts_lost {
  std::shared_ptr<const std::set<std::string>> domains; ///< null: all
  /// Before they are tried again: their deliveries, cut off, may still tell how it ended; and what fails again and
  /// again must not spin.
  std::chrono::nanoseconds pause{};
};

// ---- retrying and giving up

/// spooler ─▶ retry timer: something is due then, or there is room again for what is due already.
struct due_at {
  wall_time when{};
};
/// retry timer ─▶ spooler
struct claim_due {
  wall_time before{};
  std::uint32_t limit = 0;
};
/// spooler ─▶ retry timer. What was due has gone to the dispatcher: a retry timer that dies has nothing in its hands.
struct claimed {
  wall_time next_due{}; ///< when to ask again; the clock's maximum when nothing waits
  hedwig_status status = HEDWIG_OK;
};

/// spooler ─▶ bouncer: a delivery status notification is due
struct report_failure {
  queue::message_ptr message; ///< body perhaps not loaded
  std::shared_ptr<const queue::record> state;
  std::vector<std::uint32_t> recipients;
  mail::dsn_kind kind = mail::dsn_kind::failure;
};

// ---- steering

/// listener ─▶ supervisor
struct listener_open {
  std::size_t index = 0;
};
/// supervisor ─▶ all: begin nothing new, finish what is under way.
struct drain {};
/// listener ─▶ session: end, there is no room for you.
struct give_way {};
/// admin ─▶ spooler
struct resume_delivery {};

/// Makes the JSON text of an answer; run by whoever asked, on a thread of theirs, so that long lists hold no actor up.
using console_text = std::function<std::string()>;
/// A question of the console to one actor.
struct console_request {
  std::string verb; ///< "queue.list", "queue.hold", ...
  std::string argument;
  std::uint32_t limit = 0;
  std::string cursor;
  std::function<void(console_text json, hedwig_status status)> answer; ///< called once, on any thread
};

} // namespace hedwig

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::rewire)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::plugin_answers)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::authenticate)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::authenticated)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::stage_part)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::part_staged)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::drop_stage)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::store_message)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::message_stored)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::dispatch)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::mail_hosts_found)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::addresses_found)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::load_body)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::body_loaded)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::sign_work)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::work_signed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::deliver)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::delivery_status)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::job_returned)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::release)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::destination_idle)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::attempts_lost)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::attempt_outcome)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::due_at)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::claim_due)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::claimed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::report_failure)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::drain)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::listener_open)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::give_way)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::resume_delivery)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::console_request)
