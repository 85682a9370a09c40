// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "sdk/check/test.hpp"

namespace hedwig::check {

/// On which threads a plugin does what, and what it leaves behind.
suite threads_suite();

} // namespace hedwig::check
