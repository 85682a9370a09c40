// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "sdk/check/test.hpp"

namespace hedwig::check {

/// What the plugin's file is like; all but the last two tests look at it without running anything of it.
suite binary_suite();

} // namespace hedwig::check
