// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/auth/suite.hpp"

#include <hedwig/auth.h>

#include <array>

#include "sdk/check/auth/tests.hpp"

namespace hedwig::check {

namespace {

// Level 1 and 2: without these nothing can be judged. 3: one rule each.
constexpr std::array auth_tests{
    test{"questions", "it answers at least one of the four questions", 1, auth::offers_questions},
    test{"completes-once", "every question is completed exactly once, with a known status", 1, auth::completes_once},
    test{"says-yes", "who is asked about rightly is let in, and the answer says who he is", 2, auth::says_yes},
    test{"results", "groups, attributes, senders and limits are well-formed, and the same for each question", 3,
         auth::describes_users},
    test{"wrong-password", "a wrong password is denied, however near to the right one", 3,
         auth::denies_wrong_passwords},
    test{"unknown-user", "an unknown user is not found, or denied", 3, auth::knows_no_unknown_user},
    test{"blank", "no empty password is right, and none is for nobody", 3, auth::refuses_blanks},
    test{"act-for-others", "nobody acts for another user with his own password", 3, auth::refuses_to_act_for_others},
    test{"long", "names and secrets of a mebibyte are refused, and it goes on", 3, auth::refuses_what_is_long},
    test{"bytes", "NUL, control characters and broken UTF-8 make nothing right", 3, auth::refuses_strange_bytes},
    test{"injection", "a name is a name, whatever it means to the backend", 3, auth::takes_names_as_names},
    test{"wrong-token", "a wrong or expired token is denied", 3, auth::refuses_wrong_tokens},
    test{"lookup", "look-ups find who exists, and nobody else", 3, auth::looks_up_who_exists},
    test{"scram", "a SCRAM exchange with the known password succeeds by what fetch_scram gives", 3,
         auth::gives_scram_secrets},
    test{"scram-unknown", "there are no SCRAM secrets of unknown users", 3, auth::has_no_scram_for_nobody},
    test{"log", "no secret is in the log, nor in errors", 3, auth::logs_no_secret},
    test{"borrowed", "nobody looks at a question once it is completed", 3, auth::looks_at_nothing_later},
    test{"many", "of many questions at once each gets its own answer", 3, auth::answers_each_its_own},
    test{"cancel", "a cancelled question is completed", 3, auth::completes_what_is_cancelled},
    test{"stop", "everything is completed before stop() is", 3, auth::answers_before_it_stops},
    test{"outage", "while the backend cannot be asked nobody is let in, denied or not found", 3,
         auth::says_when_it_cannot_ask},
};

} // namespace

suite auth_suite() { return {"auth", HEDWIG_AUTH, auth_tests, {}}; }

} // namespace hedwig::check
