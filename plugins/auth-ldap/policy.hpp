// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/auth.hpp>

#include <string_view>
#include <vector>

#include "connection.hpp"
#include "groups.hpp"
#include "settings.hpp"

namespace hedwig::auth_ldap {

/// The user's name in policies and logs: one of settings::identity_attributes in lower case, so that other spellings of
/// a login are the same user; empty when he has none of them.
[[nodiscard]] std::string identity_of(const settings& from, const entry& user);

/// What the entry, the groups and the rules make of a user. Each rule that applies adds its senders and roles; of each
/// limit the first rule that names it decides. Throws failure(DENIED) where a rule denies, or where none applies and
/// one has to.
///
/// Whose senders are restricted and come to none may send as nobody: the list then holds one pattern that matches
/// nothing, since an empty list would mean "any".
[[nodiscard]] sdk::identity judge(const settings& from, const entry& user, const std::vector<group>& groups,
                                  std::string_view login, std::string identity);

} // namespace hedwig::auth_ldap
