// SPDX-License-Identifier: Apache-2.0
#include "runtime/plugin/current_call.hpp"

#include <utility>

#include "runtime/plugin/crash_report.hpp"

namespace hedwig::plugin {

namespace {
constinit thread_local call_site current;
}

call_site current_call() noexcept { return current; }

call_scope::call_scope(const char* instance, const char* call) noexcept
  : before_{std::exchange(current, call_site{instance, call})} {
  prepare_crash_stack();
}

call_scope::~call_scope() { current = before_; }

} // namespace hedwig::plugin
