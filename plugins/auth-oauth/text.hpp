// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace hedwig::auth_oauth {

/// Base64url without padding (RFC 7515 section 2), strict: no other character, unused bits zero.
[[nodiscard]] std::optional<std::string> decode_base64url(std::string_view text);
/// application/x-www-form-urlencoded, of one name or value.
[[nodiscard]] std::string form_encoded(std::string_view text);

} // namespace hedwig::auth_oauth
