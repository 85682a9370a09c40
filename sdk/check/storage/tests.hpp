// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "sdk/check/context.hpp"

// The tests of the storage suite; suite.cpp says what each shows.

namespace hedwig::check::storage {

void completes_once(context& run);
void gives_back(context& run);

void reads_ranges(context& run);
void knows_no_absent_message(context& run);
void refuses_breaches(context& run);
void moves_compare_revisions(context& run);
void moves_change_together(context& run);
void removes_for_good(context& run);
void removes_compare_revisions(context& run);
void ridden_removals_complete(context& run);
void retried_puts_exist(context& run);
void metadata_up_to_a_mebibyte(context& run);
void takes_no_harm_from_hints(context& run);
void returns_buffers(context& run);

void lists_in_order(context& run);
void lists_what_is_asked(context& run);
void lists_while_writing(context& run);
void sees_what_is_older(context& run);
void claims_once(context& run);
void claims_beside_each_other(context& run);
void leases_run_out(context& run);
void leases_ignore_the_wall_clock(context& run);
void writes_end_and_begin_leases(context& run);
void counts_what_it_holds(context& run);

void publishes_stages(context& run);
void consumes_stages_either_way(context& run);
void drops_stages(context& run);
void keeps_all_when_reopened(context& run);
void answers_before_it_stops(context& run);
void completes_what_is_cancelled(context& run);
void refuses_beyond_its_limit(context& run);

void takes_ten_thousand_at_once(context& run);
void keeps_large_bodies(context& run);
void agrees_with_the_model(context& run);

void survives_kills(context& run);
/// The process that survives_kills() kills.
int load_until_killed(context& run, std::uint64_t first);

void survives_no_space(context& run);
void survives_failing_writes(context& run);
void survives_failing_syncs(context& run);
void survives_failing_reads(context& run);
void survives_a_full_disk(context& run);

} // namespace hedwig::check::storage
