// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/filter/suite.hpp"

#include <hedwig/filter.h>

#include <array>

#include "sdk/check/filter/tests.hpp"

namespace hedwig::check {

namespace {

// Level 1: without it nothing can be judged. 2: what a verdict is. 3: a rule each. 4: sessions at once.
constexpr std::array filter_tests{
    test{"hooks", "it has a hook, and open and close belong together", 1, filter::offers_hooks},
    test{"completes-once", "every hook is completed exactly once, with a known status", 1, filter::completes_once},
    test{"actions", "every verdict has a known action", 2, filter::knows_its_actions},
    test{"replies", "codes and texts of replies are well-formed and fit the action", 2, filter::replies_well},
    test{"edits-at-end", "edits come from on_end and on_delivery alone", 2, filter::edits_at_the_end},
    test{"edits", "fields, values and addresses of edits are well-formed", 2, filter::edits_well},
    test{"odd-messages", "messages without header or body, with any bytes, with much of everything are no trouble", 3,
         filter::takes_odd_messages},
    test{"odd-envelopes", "neither are odd addresses and clients of whom nothing is known", 3,
         filter::takes_odd_envelopes},
    test{"pieces", "the verdict is the same however the body is cut", 3, filter::sees_no_borders},
    test{"forgets", "what a message was is forgotten when it is over", 3, filter::forgets_what_is_over},
    test{"apart", "sessions that take turns do not know of each other", 3, filter::keeps_sessions_apart},
    test{"at-once", "sessions on several threads get the verdicts they get alone", 4, filter::serves_sessions_at_once},
    test{"any-end", "a session may end in any state", 3, filter::ends_in_any_state},
    test{"freed", "nothing of a session is left when it has ended", 3, filter::frees_sessions},
    test{"buffers", "every buffer is released, once", 3, filter::returns_buffers},
    test{"borrowed", "nobody looks at what a hook was shown once it is completed", 3, filter::looks_at_nothing_later},
    test{"cancel", "a cancelled hook is completed", 3, filter::completes_what_is_cancelled},
    test{"stop", "everything is completed before stop() is, and sessions may end after it", 3,
         filter::answers_before_it_stops},
};

} // namespace

suite filter_suite() { return {"filter", HEDWIG_FILTER, filter_tests, {}}; }

} // namespace hedwig::check
