// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hedwig::auth_ldap {

/// What a server says to a bind.
enum class bind_verdict : std::uint8_t {
  right,
  wrong_password,   ///< or a DN that nobody has: servers do not tell
  password_expired, ///< and no grace login is left
  must_change,      ///< the password was reset: it opens nothing but its own change
  locked,           ///< too many wrong passwords, or by an administrator
  disabled,
  account_expired,
  not_now,    ///< outside of the hours, or from a machine that is not allowed
  refused,    ///< for a reason of the server's own; see text
  impossible, ///< the server cannot take binds as we make them, which is nothing about the user
};

/// "the password has expired", for the log.
[[nodiscard]] std::string_view to_string_view(bind_verdict verdict) noexcept;

struct bind_answer {
  bind_verdict verdict = bind_verdict::impossible;
  std::string text;           ///< of the server; for the log
  int expires_in = -1;        ///< seconds; -1: the server did not say
  int grace_logins_left = -1; ///< the password has expired, and still works this often; -1: the server did not say
};

/// What draft-behera-ldap-password-policy adds to an answer; -1: nothing.
struct policy_answer {
  int error = -1;
  int expires_in = -1;
  int grace_logins_left = -1;
};

/// Reads result code, diagnostic message (with Active Directory's "data 532") and password policy together. Codes that
/// say that the server is busy or gone are not for here.
[[nodiscard]] bind_answer judge_bind(int code, std::string text, const policy_answer& policy);

} // namespace hedwig::auth_ldap
