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
/// ASCII letters only; other bytes stay.
[[nodiscard]] std::string lower(std::string_view text);
[[nodiscard]] bool same_text(std::string_view a, std::string_view b) noexcept;
/// 1 to 255 octets of UTF-8 without control characters: what may become an identity.
[[nodiscard]] bool is_name(std::string_view text) noexcept;

} // namespace hedwig::auth_oauth
