// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/auth.hpp>

#include <optional>
#include <string_view>

namespace hedwig::auth_ldap {

/// Reads "SCRAM-SHA-256$4096:SALT$STOREDKEY:SERVERKEY" (RFC 5803 section 2; RFC 3112 allows spaces around each $).
/// Without who it is. Nothing when it is of another scheme or malformed.
[[nodiscard]] std::optional<sdk::scram_secret> read_scram(std::string_view value);

} // namespace hedwig::auth_ldap
