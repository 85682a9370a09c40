// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "sdk/check/test.hpp"

namespace hedwig::check {

/// What holds for every plugin, whatever its providers are.
suite plugin_suite();

} // namespace hedwig::check
