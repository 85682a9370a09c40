// SPDX-License-Identifier: Apache-2.0
#include "bind_answer.hpp"

#include <charconv>
#include <utility>

#include <ldap.h>

namespace hedwig::auth_ldap {

namespace {

/// Active Directory's own code in "80090308: LdapErr: DSID-0C09042A, comment: AcceptSecurityContext error, data 52e,
/// v3839", hexadecimal; 0: there is none.
unsigned windows_code(std::string_view text) {
  auto at = text.find(", data ");
  unsigned code = 0;
  if (at != std::string_view::npos)
    std::from_chars(text.data() + at + 7, text.data() + text.size(), code, 16);
  return code;
}

/// Of WinError.h, "System Error Codes (1300-1699)" and after.
bind_verdict windows_verdict(unsigned code) {
  switch (code) {
  case 0x530: // ERROR_INVALID_LOGON_HOURS
  case 0x531: // ERROR_INVALID_WORKSTATION
    return bind_verdict::not_now;
  case 0x532: // ERROR_PASSWORD_EXPIRED
    return bind_verdict::password_expired;
  case 0x533: // ERROR_ACCOUNT_DISABLED
    return bind_verdict::disabled;
  case 0x701: // ERROR_ACCOUNT_EXPIRED
    return bind_verdict::account_expired;
  case 0x773: // ERROR_PASSWORD_MUST_CHANGE
    return bind_verdict::must_change;
  case 0x775: // ERROR_ACCOUNT_LOCKED_OUT
    return bind_verdict::locked;
  default: // 0x525 no such user, 0x52e wrong password
    return bind_verdict::wrong_password;
  }
}

bind_verdict verdict_of(int code, std::string_view text, int policy_error) {
  switch (policy_error) {
  case PP_passwordExpired:
    return bind_verdict::password_expired;
  case PP_accountLocked:
    return bind_verdict::locked;
  case PP_changeAfterReset:
    return bind_verdict::must_change;
  default:
    break;
  }
  switch (code) {
  case LDAP_SUCCESS:
    return bind_verdict::right;
  case LDAP_INVALID_CREDENTIALS:
    return windows_verdict(windows_code(text));
  case LDAP_NO_SUCH_OBJECT:
  case LDAP_INVALID_DN_SYNTAX:
    return bind_verdict::wrong_password;
  case LDAP_CONSTRAINT_VIOLATION: // 389 Directory Server: too many wrong passwords
    return bind_verdict::locked;
  case LDAP_INAPPROPRIATE_AUTH: // there is no password
  case LDAP_INSUFFICIENT_ACCESS:
  case LDAP_UNWILLING_TO_PERFORM: // 389 Directory Server: the account is inactive
    return bind_verdict::refused;
  default:
    return bind_verdict::impossible;
  }
}

} // namespace

std::string_view to_string_view(bind_verdict verdict) noexcept {
  switch (verdict) {
  case bind_verdict::right:
    return "the password is right";
  case bind_verdict::wrong_password:
    return "wrong password";
  case bind_verdict::password_expired:
    return "the password has expired";
  case bind_verdict::must_change:
    return "the password must be changed first";
  case bind_verdict::locked:
    return "the account is locked";
  case bind_verdict::disabled:
    return "the account is disabled";
  case bind_verdict::account_expired:
    return "the account has expired";
  case bind_verdict::not_now:
    return "the account may not log in at this time or from here";
  case bind_verdict::refused:
    return "the server refuses this account";
  case bind_verdict::impossible:
    break;
  }
  return "the server does not take this kind of bind";
}

bind_answer judge_bind(int code, std::string text, const policy_answer& policy) {
  return {verdict_of(code, text, policy.error), std::move(text), policy.expires_in, policy.grace_logins_left};
}

} // namespace hedwig::auth_ldap
