// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/base.h>

#include <expected>
#include <string>
#include <string_view>

namespace hedwig {

/// What went wrong, as a value. `status` is one of the SDK's codes, so that the SMTP reply class is decided in one
/// table whoever failed; `message` is one sentence for an operator and never reaches a peer; `where` names a file, a
/// config key or an address, and may be empty.
struct [[nodiscard]] error {
  hedwig_status status = HEDWIG_E_INTERNAL;
  std::string message;
  std::string where;
  int os_errno = 0;

  /// "where: message", for a log line or a terminal.
  [[nodiscard]] std::string text() const { return where.empty() ? message : where + ": " + message; }
};

template <class T>
using result = std::expected<T, error>;

/// An error for a failed system call: `what` says what was tried ("bind to 127.0.0.1:25").
[[nodiscard]] error system_error(int os_errno, std::string_view what);

/// "no space", "denied": the lower-case name of an SDK status, for logs and metrics. "internal" for unknown ones.
[[nodiscard]] std::string_view to_string_view(hedwig_status status) noexcept;

/// A broken invariant of our own: writes `what` to standard error and aborts, in release builds too.
[[noreturn]] void panic(std::string_view what) noexcept;

} // namespace hedwig
