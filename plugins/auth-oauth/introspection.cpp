// SPDX-License-Identifier: Apache-2.0
#include "introspection.hpp"

#include <cstring>

#include "text.hpp"

namespace hedwig::auth_oauth {

json_object introspect(https_client& by, const settings& from, std::string_view token,
                       std::chrono::nanoseconds patience) {
  auto form = "token_type_hint=access_token&token=" + form_encoded(token);
  struct wiper {
    std::string& text;
    ~wiper() { explicit_bzero(text.data(), text.size()); }
  } wiped{form};
  auto answer = json_object::parse(by.post(from.introspection_url, form, patience));
  auto active = answer ? answer->boolean("active") : std::nullopt;
  if (!active)
    throw sdk::failure{HEDWIG_E_UNAVAILABLE,
                       "the answer is not one of token introspection (RFC 7662): no active in it"};
  if (!*active)
    throw sdk::failure{HEDWIG_E_DENIED, "the server says that it is not active"};
  return *std::move(answer);
}

} // namespace hedwig::auth_oauth
