// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/config.h>

namespace hedwig::filter_headers {

extern const hedwig_config_schema schema;

} // namespace hedwig::filter_headers
