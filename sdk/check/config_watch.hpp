// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/config.h>

#include <string>
#include <vector>

namespace hedwig::check {

/// The table through which plugins read settings. It remembers who asks for what the schema does not declare, or by
/// another type. Legal on every thread, as are the others.
const hedwig_host_config& watched_settings();
/// These settings are of that schema.
void watch_settings(const hedwig_config* settings, const hedwig_config_schema* schema);
/// What was asked for wrongly, in this process.
std::vector<std::string> misread_settings();

} // namespace hedwig::check
