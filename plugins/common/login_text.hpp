// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

// What providers of users do with names and other short texts.
namespace hedwig::logins {

/// ASCII only: what differs in the case of other letters counts as different.
[[nodiscard]] std::string lower(std::string_view text);
[[nodiscard]] bool same_text(std::string_view a, std::string_view b);

/// What a client may call itself: well-formed UTF-8 of at most `name_octets_max`, not empty, without control bytes.
[[nodiscard]] bool is_name(std::string_view text);
inline constexpr std::size_t name_octets_max = 255;

} // namespace hedwig::logins
