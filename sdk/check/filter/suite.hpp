// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "sdk/check/test.hpp"

namespace hedwig::check {

/// "hedwig.filter/1": see docs/plugins/plugin-check.md for what each test shows.
suite filter_suite();

} // namespace hedwig::check
