// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/rule.hpp"

#include <fmt/format.h>

namespace hedwig::check {

std::string place_of(const rule& one) { return fmt::format("{}:{}", one.header, one.line); }

} // namespace hedwig::check
