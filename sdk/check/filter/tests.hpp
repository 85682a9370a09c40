// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "sdk/check/context.hpp"

// The tests of the filter suite; suite.cpp says what each shows.

namespace hedwig::check::filter {

void offers_hooks(context& run);
void completes_once(context& run);

void knows_its_actions(context& run);
void replies_well(context& run);
void edits_at_the_end(context& run);
void edits_well(context& run);

void takes_odd_messages(context& run);
void takes_odd_envelopes(context& run);
void sees_no_borders(context& run);
void forgets_what_is_over(context& run);

void keeps_sessions_apart(context& run);
void serves_sessions_at_once(context& run);
void ends_in_any_state(context& run);
void frees_sessions(context& run);
void returns_buffers(context& run);
void looks_at_nothing_later(context& run);
void completes_what_is_cancelled(context& run);
void answers_before_it_stops(context& run);

} // namespace hedwig::check::filter
