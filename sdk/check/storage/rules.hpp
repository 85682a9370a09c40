// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "sdk/check/rules.hpp"

namespace hedwig::check::rules {

inline constexpr rule acknowledged_survives = storage("An acknowledged write survives power loss.");
inline constexpr rule seen_at_once = storage("a later READ, MOVE, STAT, LIST or CLAIM sees the message all the same.");
inline constexpr rule failed_write_unseen =
    storage("a write that completes with an error was never acknowledged and is not seen by any later request.");
inline constexpr rule full_store_moves = storage(
    "A PUT that is refused for lack of space (HEDWIG_E_NO_SPACE) leaves MOVE and REMOVE working: they are what frees "
    "space.");
inline constexpr rule leases_by_steady_clock =
    storage("leases are measured with the steady clock from the moment the store takes the request, so a jump of the "
            "wall clock neither frees nor freezes them.");
inline constexpr rule hint_is_optional = storage("all zero when it has none (after a restart, say).");
inline constexpr rule hint_is_opaque =
    storage("Where the store keeps a message, so that MOVE, REMOVE and READ need no look-up.");

inline constexpr rule stages_left_behind = storage("Stages left behind by a crash are removed at start().");
inline constexpr rule stage_is_named = storage("not 0");
inline constexpr rule discard_drops = storage("-> none; drops a stage");
inline constexpr rule append_completes =
    storage("APPEND completes when the store wants more: that is the back-pressure.");
inline constexpr rule body_is_stage_then_slices = storage("The body is the stage, if any, followed by the slices");
inline constexpr rule stage_is_consumed = storage("a stage is consumed either way.");
inline constexpr rule put_is_one_step = storage("PUT makes message, metadata and due time visible in one step.");
inline constexpr rule put_retry_exists =
    storage("only with HEDWIG_PUT_RETRY must the store look for an existing one and answer HEDWIG_E_EXISTS.");
inline constexpr rule put_born_claimed = storage("With `lease_until` the message is born claimed");
inline constexpr rule put_invalid =
    storage("A state that does not exist or metadata beyond HEDWIG_METADATA_MAX is HEDWIG_E_INVALID.");
inline constexpr rule metadata_size = storage("the host's own encoding; opaque; up to 1 MiB");
inline constexpr rule put_revision = storage("A PUT's revision is 1; a MOVE's is one more than the one it named.");

inline constexpr rule move_compares = storage("HEDWIG_E_CONFLICT when the revision differs");
inline constexpr rule move_not_found = storage("HEDWIG_E_NOT_FOUND when there is no such message.");
inline constexpr rule move_together = storage("state, due time and metadata change together or not at all.");
inline constexpr rule move_metadata = storage("replace the metadata too");
inline constexpr rule move_lease = storage("It ends the lease, or begins a new one with `lease_until`");

inline constexpr rule remove_absent = storage("-> none; durable; absent is HEDWIG_OK");
inline constexpr rule remove_revision = storage("REMOVE: 0 for whichever, else HEDWIG_E_CONFLICT if it differs");
inline constexpr rule remove_ride = storage("it rides on the next one, within a second.");

inline constexpr rule read_beyond = storage("at or beyond the end: HEDWIG_OK and no slices");
inline constexpr rule read_length = storage("it may give less, never nothing before the end");
inline constexpr rule read_references = storage("The host takes over one reference of each.");
inline constexpr rule stat_entry = storage("-> hedwig_entry, with metadata");

inline constexpr rule list_order = storage("LIST walks by (due, id) or, with BY_RECEIPT, by id.");
inline constexpr rule list_once = storage("It sees each message that exists throughout the walk exactly once");
inline constexpr rule list_page = storage("A page may hold fewer entries than `limit`, even none");
inline constexpr rule list_end = storage("Only an empty cursor says that nothing follows.");
inline constexpr rule list_due_before = storage("only what is due earlier; 0: no bound");
inline constexpr rule list_states = storage("HEDWIG_STATE_MASK, or-ed");
inline constexpr rule list_metadata = storage("fill in hedwig_entry.metadata");
inline constexpr rule list_cursor = storage("empty at first, then the last result's");
inline constexpr rule cursor_size = storage("bytes of a cursor");
inline constexpr rule claim_order = storage("CLAIM lists what is due and unclaimed by (due, id), and leases it");
inline constexpr rule claim_lease = storage("no other CLAIM returns it");
inline constexpr rule claim_oldest = storage("Without a cursor it starts at the oldest.");
inline constexpr rule claimed_flag = storage("a lease runs");

inline constexpr rule unknown_kind = storage("Unknown kinds complete with HEDWIG_E_UNSUPPORTED.");
inline constexpr rule in_flight = storage("what exceeds it completes with HEDWIG_E_BUSY");
inline constexpr rule request_lives =
    storage("each request and what it points at stay valid until its op is completed.");
inline constexpr rule any_order =
    storage("the plugin groups them into as few commits as it likes and completes in any order.");
inline constexpr rule stats_by_state = storage("indexed by state number");
inline constexpr rule stats_oldest = storage("0 when there is no message");
inline constexpr rule stats_leases = storage("running, or not yet swept");
inline constexpr rule health_refuses = storage("HEDWIG_OK, or why new mail should be refused for now.");
inline constexpr rule health_recovers =
    storage("Comes back to HEDWIG_OK by itself where the store can recover; a store "
            "that cannot stays at HEDWIG_E_IO until the process restarts.");
inline constexpr rule limits_constant = storage("Owned by the plugin, constant from start() to destroy().");

inline constexpr rule no_space_is_452 = base("HEDWIG_E_NO_SPACE (-11)");
inline constexpr rule io_is_451 = base("HEDWIG_E_IO (-12)");
inline constexpr rule corrupt = base("stored data failed its checksum");
inline constexpr rule invalid_request = base("caller broke the contract: a bug");
inline constexpr rule unknown_flags = base("caller broke the contract: a bug");

} // namespace hedwig::check::rules
