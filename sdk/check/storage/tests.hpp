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

} // namespace hedwig::check::storage
