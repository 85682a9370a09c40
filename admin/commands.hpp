// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "admin/command_line.hpp"

#include <iosfwd>

namespace hedwig::admin {

/// Does what the command line says. The exit status: 0 done, 1 not reached or refused, in whole or in part.
[[nodiscard]] int run(const command_line& wanted, std::istream& in, std::ostream& out, std::ostream& err);

} // namespace hedwig::admin
