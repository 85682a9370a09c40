// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/config.h>

namespace hedwig::check {

/// How a plugin reads its settings.
const hedwig_host_config& settings_table();

} // namespace hedwig::check
