// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/auth.hpp>

#include <memory>
#include <string>
#include <string_view>

#include "login_cache.hpp"

// What every provider of users does before it asks anybody, and with what it hears.
namespace hedwig::logins {

inline constexpr std::size_t password_octets_max = 1024;

/// Throws failure(NOT_FOUND) for what can be nobody's name, and failure(DENIED) for who would act for another user.
void check_name(const hedwig_auth_request& request);
/// Throws failure(DENIED) for what can be nobody's password: an empty one, one with a NUL, a very long one.
void check_password(std::string_view password);

/// Whose answer is used again: what is known of a name that nobody has.
enum class unknown_names : std::uint8_t {
  with_any_password, ///< it stays unknown with other passwords, too
  with_this_password ///< as for a wrong password, so that the time of the next try does not tell the two apart
};

/// Answers from `cache`, or by `ask()`, which gives an identity or throws; what that says of the user is remembered,
/// and what it says of itself (it is not there, it takes too long) is not. `hit(what)` is called before the cache
/// answers.
template <class Hit, class Ask>
sdk::identity ask_through(login_cache& cache, const sdk::host& host, unknown_names how, const std::string& login,
                          std::string_view password, Hit&& hit, Ask&& ask) {
  auto digest = cache.digest_of(login, password);
  auto known = cache.ask(login, digest, host.steady());
  if (known.what != login_cache::known::nothing)
    hit(known.what);
  if (known.what == login_cache::known::right)
    return *known.who;
  if (known.what == login_cache::known::wrong)
    throw sdk::failure{HEDWIG_E_DENIED, "refused lately"};
  if (known.what == login_cache::known::nobody)
    throw sdk::failure{HEDWIG_E_NOT_FOUND, "no such user"};
  try {
    auto who = std::make_shared<const sdk::identity>(ask());
    cache.remember_right(login, digest, who, host.steady());
    return *who;
  } catch (const sdk::failure& why) {
    if (why.status() == HEDWIG_E_DENIED)
      cache.remember_wrong(login, digest, host.steady());
    else if (why.status() == HEDWIG_E_NOT_FOUND && how == unknown_names::with_any_password)
      cache.remember_nobody(login, host.steady());
    else if (why.status() == HEDWIG_E_NOT_FOUND)
      cache.remember_wrong(login, digest, host.steady(), login_cache::known::nobody);
    throw;
  }
}

} // namespace hedwig::logins
