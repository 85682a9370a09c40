// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "sdk/check/test.hpp"

namespace hedwig::check {

/// What every provider owes its host, whatever it is for.
suite contract_suite();

} // namespace hedwig::check
