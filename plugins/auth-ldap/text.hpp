// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "login_text.hpp"

namespace hedwig::auth_ldap {

/// RFC 4515 section 3: what stands for `text` as a value in a search filter. Every byte that is not a letter, a digit
/// or one of a few harmless signs is written as \XX, so that no value can end the filter it stands in.
[[nodiscard]] std::string escape_filter(std::string_view text);
/// RFC 4514 section 2.4: what stands for `text` as an attribute value in a DN.
[[nodiscard]] std::string escape_dn(std::string_view text);

using substitution = std::pair<std::string_view, std::string_view>;
/// Replaces "{name}" by its value, which goes in as it is; what has no value stays as it stands.
[[nodiscard]] std::string fill(std::string_view pattern, const std::vector<substitution>& values);
/// The first "{name}" in `pattern` that is not among `known`.
[[nodiscard]] std::optional<std::string> unknown_placeholder(std::string_view pattern,
                                                             const std::vector<std::string_view>& known);

using logins::is_name;
using logins::lower;
using logins::same_text;

/// The value of the first part of a DN: "staff" of "cn=staff,dc=example". Escapes are undone.
[[nodiscard]] std::string first_value(std::string_view dn);

} // namespace hedwig::auth_ldap
