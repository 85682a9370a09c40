// SPDX-License-Identifier: Apache-2.0
#include "login_check.hpp"

#include "login_text.hpp"

namespace hedwig::logins {

void check_name(const hedwig_auth_request& request) {
  if (!is_name(sdk::view(request.username)))
    throw sdk::failure{HEDWIG_E_NOT_FOUND, "this can be nobody's name"};
  auto other = sdk::view(request.authorize_as);
  if (!other.empty() && other != sdk::view(request.username))
    throw sdk::failure{HEDWIG_E_DENIED, "may not act for another user"};
}

void check_password(std::string_view password) {
  if (password.empty() || password.size() > password_octets_max || password.contains('\0'))
    throw sdk::failure{HEDWIG_E_DENIED, "this can be nobody's password"};
}

} // namespace hedwig::logins
