// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include "runtime/mail/address.hpp"

namespace hedwig::smtp {

/// Whether a user may use `sender`, by the patterns that an auth provider gave with his identity (see
/// hedwig_auth_result): none allow everything, an empty one matches nothing, and the null sender is everybody's. Local
/// parts are compared without regard to ASCII case, domains as DNS does.
[[nodiscard]] bool may_use_sender(std::span<const std::string> patterns, const mail::address& sender);

} // namespace hedwig::smtp
