// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/storage/suite.hpp"

#include <hedwig/storage.h>

#include <array>

#include "sdk/check/storage/tests.hpp"

namespace hedwig::check {

namespace {

using namespace storage;

// Level 1 and 2: without these nothing can be judged. 3: one rule each. 4: leases, which
// need CLAIM. 5: all together, and when things go wrong.
constexpr std::array tests{
    test{"completes-once", "every kind of request is completed exactly once, with its result", 1, completes_once},
    test{"gives-back", "a message is given back as it was put", 2, gives_back},
    test{"reads-ranges", "READ honours offset and length", 3, reads_ranges},
    test{"absent", "nothing is known of a message that was never put", 3, knows_no_absent_message},
    test{"refuses-breaches", "requests that break the contract are refused and do nothing", 3, refuses_breaches},
    test{"metadata-size", "metadata of a mebibyte are kept, more is refused", 3, metadata_up_to_a_mebibyte},
    test{"move-compares", "MOVE is compare-and-swap on the revision", 3, moves_compare_revisions},
    test{"move-together", "MOVE changes state, due time and metadata together, and nothing else", 3,
         moves_change_together},
    test{"remove", "a removed message is gone, a second time too", 3, removes_for_good},
    test{"remove-compares", "REMOVE compares the revision it is given", 3, removes_compare_revisions},
    test{"remove-rides", "a REMOVE that rides is completed within a second, with or without company", 3,
         ridden_removals_complete},
    test{"put-retry", "a retried PUT finds its message", 3, retried_puts_exist},
    test{"hints", "a request does the same with the last hint and without one, and never touches another message", 3,
         takes_no_harm_from_hints},
    test{"buffers", "every buffer is released, once", 3, returns_buffers},
    test{"list-order", "LIST and its pages are in order, and hold what is asked for", 3, lists_in_order},
    test{"list-entries", "an entry says what the message is, with metadata where asked", 3, lists_what_is_asked},
    test{"list-while-writing", "a walk sees each message that stays once, while others come and go", 3,
         lists_while_writing},
    test{"claim", "CLAIM gives what is due, in order, and no message twice", 3, claims_once},
    test{"list-older", "a walk sees what was put behind it, due earlier than all", 4, sees_what_is_older},
    test{"claim-beside", "of CLAIMs side by side, no two give the same message", 4, claims_beside_each_other},
    test{"lease-ends", "a lease ends when its time has passed, and not before", 4, leases_run_out},
    test{"lease-clock", "a jump of the wall clock neither frees nor freezes a lease", 4, leases_ignore_the_wall_clock},
    test{"lease-writes", "PUT and MOVE begin leases; MOVE, REMOVE and start() end them", 4,
         writes_end_and_begin_leases},
    test{"stats", "STATS counts what is there", 3, counts_what_it_holds},
    test{"stages", "a body that was staged is published by its PUT", 3, publishes_stages},
    test{"stage-consumed", "a PUT consumes its stage even when it fails", 3, consumes_stages_either_way},
    test{"stage-dropped", "a stage goes with DISCARD, and with a restart", 3, drops_stages},
    test{"reopen", "what was acknowledged is there after stop and start", 3, keeps_all_when_reopened},
    test{"stop", "everything is completed before stop() is", 3, answers_before_it_stops},
    test{"cancel", "a cancelled request is completed, done or not done", 3, completes_what_is_cancelled},
    test{"in-flight", "requests beyond the store's limit are refused, and it goes on", 3, refuses_beyond_its_limit},
    test{"ten-thousand", "10,000 PUTs at once are all there, now and after a restart", 5, takes_ten_thousand_at_once},
    test{"large-bodies", "bodies of 64 MiB (--short: 16), in slices and staged, are kept", 5, keeps_large_bodies},
    test{"random", "random operations, many at once, agree with a model", 5, agrees_with_the_model},
    test{"kill", "a process killed at any moment has lost nothing it acknowledged", 5, survives_kills},
    test{"no-space", "writes that fail for lack of space are refused as such, and service comes back", 5,
         survives_no_space, true},
    test{"write-error", "writes that fail are refused, and nothing else is lost", 5, survives_failing_writes, true},
    test{"sync-error", "what cannot be synced is not acknowledged", 5, survives_failing_syncs, true},
    test{"read-error", "files that cannot be read are no reason to give up a message", 5, survives_failing_reads, true},
    test{"full-disk", "a full disk refuses new mail, moves and removes, and takes mail again when there is space", 5,
         survives_a_full_disk},
};

constexpr std::array roles{role{"storage.load", load_until_killed}};

} // namespace

suite storage_suite() { return {"storage", HEDWIG_STORAGE, tests, roles}; }

} // namespace hedwig::check
