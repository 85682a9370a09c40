// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace hedwig::plugin {

/// From now on a signal that ends the process (SEGV, BUS, ILL, FPE, ABRT, SYS) first writes a few lines to standard
/// error: the signal, the address, the plugin call that the thread was in, the file that the code belongs to, and what
/// to do. Then the process dies of the signal as it would have. `program` stands before each line and must outlive
/// everything; `for_another`: the process runs a plugin for a relay, which lives on. Once, early in main(); nothing
/// under the sanitizers, which report better.
void install_crash_report(const char* program, bool for_another = false) noexcept;

/// Gives this thread a stack to write the report on, for when its own is used up; each call_scope sees to it.
void prepare_crash_stack() noexcept;

} // namespace hedwig::plugin
