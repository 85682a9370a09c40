// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/auth.hpp>

#include <string_view>

#include "json.hpp"
#include "settings.hpp"

namespace hedwig::auth_oauth {

struct judged_user {
  sdk::identity who;
  hedwig_time_ns until = 0; ///< on the wall clock: the end of the token; the last there is where it names none
};

/// What claims that are believed make of a user. `login`: whom the client says the token is for; may be empty. `now`:
/// on the wall clock. Throws failure(DENIED) with the reason.
[[nodiscard]] judged_user judge(const settings& from, const json_object& claims, std::string_view login,
                                hedwig_time_ns now);

} // namespace hedwig::auth_oauth
