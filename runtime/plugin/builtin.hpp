// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "runtime/config/node.hpp"
#include "runtime/config/settings.hpp"

// What Hedwig 0.10 had built in, as tables for the providers that do it now.
namespace hedwig::plugin {

/// [[server.auth]] as the settings of the auth provider "static".
[[nodiscard]] config::node static_auth_table(std::span<const config::auth_user> users);
/// [[filters]] without `use` as the settings of the filter provider "domain".
[[nodiscard]] config::node domain_filter_table(std::span<const config::domain_rule> rules);

} // namespace hedwig::plugin
