// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "sdk/check/test.hpp"

namespace hedwig::check {

/// "hedwig.auth/1": see docs/plugins/plugin-check.md for what each test shows.
suite auth_suite();

} // namespace hedwig::check
