// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "sdk/check/auth/suite.hpp"
#include "sdk/check/binary/suite.hpp"
#include "sdk/check/config/suite.hpp"
#include "sdk/check/contract/suite.hpp"
#include "sdk/check/filter/suite.hpp"
#include "sdk/check/storage/suite.hpp"
#include "sdk/check/threads/suite.hpp"

namespace hedwig::check {

std::span<const suite> all_suites() {
  static const std::array suites{binary_suite(),  contract_suite(), threads_suite(), config_suite(),
                                 storage_suite(), auth_suite(),     filter_suite()};
  return suites;
}

} // namespace hedwig::check
