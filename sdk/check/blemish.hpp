// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "sdk/check/rule.hpp"

namespace hedwig::check {

/// A rule that an answer breaks; the test that is meant for the rule says so.
struct blemish {
  const rule* which;
  std::string saw;
};

} // namespace hedwig::check
