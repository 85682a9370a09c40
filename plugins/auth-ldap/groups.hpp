// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "connection.hpp"
#include "settings.hpp"

namespace hedwig::auth_ldap {

struct group {
  std::string dn;
  std::string name;
};

/// Runs one search with the deadline of the login.
using searcher = std::function<search_answer(const search_request&)>;

/// The groups that a user is in, directly and through other groups down to settings::group_depth. Throws
/// failure(UNAVAILABLE) where there are more than settings::groups_max: rights that depend on groups nobody has read
/// would be wrong.
[[nodiscard]] std::vector<group> groups_of(const settings& from, const searcher& search, const entry& user,
                                           std::string_view login, std::string_view identity);

} // namespace hedwig::auth_ldap
