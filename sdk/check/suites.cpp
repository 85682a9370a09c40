// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "sdk/check/plugin_suite.hpp"
#include "sdk/check/storage/suite.hpp"

namespace hedwig::check {

std::span<const suite> all_suites() {
  static const std::array suites{plugin_suite(), storage_suite()};
  return suites;
}

} // namespace hedwig::check
