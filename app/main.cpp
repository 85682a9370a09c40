// SPDX-License-Identifier: Apache-2.0
#include "app/check.hpp"
#include "app/command_line.hpp"
#include "app/dkim_generate.hpp"
#include "app/hash_password.hpp"
#include "app/plugin_list.hpp"
#include "app/serve.hpp"
#include "app/spool.hpp"
#include "runtime/config/load.hpp"
#include "runtime/plugin/crash_report.hpp"

#include <exception>
#include <iostream>

int main(int argc, char** argv) {
  using namespace hedwig::app;
  using command = command_line::command;
  hedwig::plugin::install_crash_report("hedwig");
  try {
    if (auto status = spool({argv + 1, argv + argc}))
      return *status;
    if (auto status = plugin_command({argv + 1, argv + argc}))
      return *status;
    auto parsed = parse_command_line({argv + 1, argv + argc});
    if (!parsed) {
      std::cerr << "hedwig: " << parsed.error() << '\n';
      return exit_usage;
    }
    if (parsed->config.empty())
      parsed->config = default_config_path();
    switch (parsed->what) {
    case command::check:
      return check(parsed->config);
    case command::dkim_generate:
      return dkim_generate(*parsed);
    case command::hash_password:
      return hash_password();
    case command::config_reference:
      std::cout << hedwig::config::reference_markdown();
      return exit_ok;
    case command::version:
      std::cout << "hedwig " HEDWIG_VERSION "\n";
      return exit_ok;
    case command::help:
      std::cout << usage();
      return exit_ok;
    case command::server:
      return serve(parsed->config);
    }
  } catch (const std::exception& e) {
    std::cerr << "hedwig: " << e.what() << '\n';
  }
  return exit_failed;
}
