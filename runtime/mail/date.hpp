// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "runtime/base/clock.hpp"

namespace hedwig::mail {

/// RFC 5322 section 3.3 in UTC: "Wed, 01 Jan 2025 00:00:00 +0000".
[[nodiscard]] std::string date_text(wall_time when);

} // namespace hedwig::mail
