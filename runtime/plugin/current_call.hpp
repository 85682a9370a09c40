// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace hedwig::plugin {

/// Which plugin code this thread is in: for crash reports. Both are NUL-terminated and outlive the call.
struct call_site {
  const char* instance = nullptr; ///< "filter.domain"; null: no plugin code is running
  const char* call = nullptr;     ///< "on_mail"
};

/// Of this thread. Safe in a signal handler.
[[nodiscard]] call_site current_call() noexcept;

/// Marks the thread as inside `call` of `instance` while it lives; nests.
class call_scope {
public:
  call_scope(const char* instance, const char* call) noexcept;
  ~call_scope();
  call_scope(const call_scope&) = delete;
  call_scope& operator=(const call_scope&) = delete;

private:
  call_site before_;
};

} // namespace hedwig::plugin
