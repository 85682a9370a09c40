// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "sdk/check/context.hpp"

// The tests of the auth suite; suite.cpp says what each shows.

namespace hedwig::check::auth {

void offers_questions(context& run);
void completes_once(context& run);
void says_yes(context& run);
void describes_users(context& run);

void denies_wrong_passwords(context& run);
void knows_no_unknown_user(context& run);
void refuses_blanks(context& run);
void refuses_to_act_for_others(context& run);
void refuses_what_is_long(context& run);
void refuses_strange_bytes(context& run);
void takes_names_as_names(context& run);
void refuses_wrong_tokens(context& run);
void looks_up_who_exists(context& run);

void gives_scram_secrets(context& run);
void has_no_scram_for_nobody(context& run);
void logs_no_secret(context& run);
void looks_at_nothing_later(context& run);

void answers_each_its_own(context& run);
void completes_what_is_cancelled(context& run);
void answers_before_it_stops(context& run);
void says_when_it_cannot_ask(context& run);

} // namespace hedwig::check::auth
