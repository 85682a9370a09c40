// SPDX-License-Identifier: Apache-2.0
#include "app/check.hpp"

#include "app/command_line.hpp"
#include "app/relay.hpp"
#include "app/spool_kinds.hpp"

#include <iostream>

namespace hedwig::app {

int check(const std::string& config_path) {
  auto prepared = prepare(config_path);
  if (prepared.ok())
    for (auto& one : stranded_spools(*prepared.loaded))
      prepared.warnings.push_back(config::diagnostic_at(*prepared.loaded, "storage.storage_type", one));
  std::cerr << prepared.text();
  if (!prepared.ok()) {
    std::cerr << advice_on_config(config_path);
    return exit_usage;
  }
  std::cout << config_path << ": ok\n";
  return exit_ok;
}

} // namespace hedwig::app
