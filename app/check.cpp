// SPDX-License-Identifier: Apache-2.0
#include "app/check.hpp"

#include "app/command_line.hpp"
#include "app/relay.hpp"

#include <iostream>

namespace hedwig::app {

int check(const std::string& config_path) {
  auto prepared = prepare(config_path);
  std::cerr << prepared.text();
  if (!prepared.ok())
    return exit_usage;
  std::cout << config_path << ": ok\n";
  return exit_ok;
}

} // namespace hedwig::app
