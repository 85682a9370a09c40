// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/auth.hpp>

#include <optional>
#include <string_view>

namespace hedwig::logins {

/// It begins as one of the two forms below.
[[nodiscard]] bool is_scram_text(std::string_view value);
/// Reads "SCRAM-SHA-256$4096:SALT$STOREDKEY:SERVERKEY" (RFC 5803 section 2; RFC 3112 allows spaces around each $), and
/// "{SCRAM-SHA-256}4096,SALT,STOREDKEY,SERVERKEY" as gsasl and Dovecot write it. Without who it is. Nothing when it is
/// of another scheme or malformed, or asks for more than ten million iterations.
[[nodiscard]] std::optional<sdk::scram_secret> read_scram(std::string_view value);

} // namespace hedwig::logins
