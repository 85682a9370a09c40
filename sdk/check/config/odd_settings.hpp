// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/config.h>

#include <memory>
#include <string>
#include <vector>

namespace hedwig::check {

/// Settings that the schema allows and nobody would write: one key is at its limit, empty, huge or not there.
struct odd_settings {
  std::string what; ///< "timeout = 0"
  std::shared_ptr<const hedwig_config> settings;
  bool reloadable = false; ///< the key is
};

/// Each is `base` with one key changed, of the table itself or of the first entry of a list of tables.
std::vector<odd_settings> all_odd(const hedwig_config_schema* schema, const hedwig_config& base);

/// Whether `where` is a key of the schema, "user.password" for one of a nested table.
bool names_a_key(const hedwig_config_schema* schema, std::string_view where);

} // namespace hedwig::check
