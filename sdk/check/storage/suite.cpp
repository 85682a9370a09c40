// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/storage/suite.hpp"

#include <hedwig/storage.h>

#include <array>

#include "sdk/check/storage/tests.hpp"

namespace hedwig::check {

namespace {

using namespace storage;

// Level 1 and 2: without these nothing can be judged. 3: one rule each. 4: all together, and when things go wrong.
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
};

} // namespace

suite storage_suite() { return {"storage", HEDWIG_STORAGE, tests, {}}; }

} // namespace hedwig::check
