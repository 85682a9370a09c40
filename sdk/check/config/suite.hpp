// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "sdk/check/test.hpp"

namespace hedwig::check {

/// What a plugin declares of its settings, and what it does with them.
suite config_suite();

} // namespace hedwig::check
