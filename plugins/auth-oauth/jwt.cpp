// SPDX-License-Identifier: Apache-2.0
#include "jwt.hpp"

#include <hedwig/plugin.hpp>

#include <algorithm>

#include "login_text.hpp"
#include "text.hpp"

namespace hedwig::auth_oauth {

namespace {

sdk::failure no_token(const char* why) { return sdk::failure{HEDWIG_E_DENIED, why}; }
/// One of another kind may be another provider's.
sdk::failure no_jwt() { return sdk::failure{HEDWIG_E_NOT_FOUND, "it is no JSON Web Token"}; }

/// RFC 9068 section 2.1, RFC 7519 section 5.1. A logout token or a DPoP proof is signed by the same keys.
bool is_access_token_type(std::string_view type) {
  constexpr std::string_view known[] = {"JWT", "at+jwt", "application/at+jwt", "application/jwt"};
  return std::ranges::any_of(known, [&](auto one) { return logins::same_text(one, type); });
}

} // namespace

unverified_token take_apart(std::string_view token) {
  auto first = token.find('.');
  auto second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos)
    throw no_jwt();
  auto object = [](std::string_view part) {
    auto text = decode_base64url(part);
    return text ? json_object::parse(*text) : std::nullopt;
  };
  auto header = object(token.substr(0, first));
  auto claims = object(token.substr(first + 1, second - first - 1));
  auto signature = decode_base64url(token.substr(second + 1));
  if (!header || !claims || !signature)
    throw no_jwt();
  return {*std::move(header), *std::move(claims), token.substr(0, second), *std::move(signature)};
}

signing signing_of(const unverified_token& token, const std::vector<algorithm>& allowed) {
  auto with = algorithm_of(token.header.text("alg").value_or(""));
  if (!with || std::ranges::find(allowed, *with) == allowed.end())
    throw no_token("its algorithm is not one of algorithms");
  if (token.header.has("crit"))
    throw no_token("it has critical extensions, and none is known");
  if (auto type = token.header.text("typ"); type && !is_access_token_type(*type))
    throw no_token("it is of another type than an access token");
  if (token.signature.empty())
    throw no_token("it is not signed");
  return {*with, token.header.text("kid").value_or("")};
}

signature_verdict check_signature(const unverified_token& token, const signing& how, const key_set& keys) {
  bool known = false;
  for (auto& key : keys.keys) {
    if (!key.fits(how.with) || (!how.key_id.empty() && key.id() != how.key_id))
      continue;
    known = true;
    if (key.verifies(how.with, token.signed_text, token.signature))
      return signature_verdict::right;
  }
  // Without an id, a key that is not in the set yet may have made it.
  return known && !how.key_id.empty() ? signature_verdict::wrong : signature_verdict::unknown_key;
}

} // namespace hedwig::auth_oauth
