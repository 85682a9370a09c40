// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "https.hpp"
#include "json.hpp"

namespace hedwig::auth_oauth {

/// What the server says of a token (RFC 7662). Throws failure(DENIED) when it is not active, failure(UNAVAILABLE) when
/// nobody can tell.
[[nodiscard]] json_object introspect(https_client& by, const settings& from, std::string_view token,
                                     std::chrono::nanoseconds patience);

} // namespace hedwig::auth_oauth
