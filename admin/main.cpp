// SPDX-License-Identifier: Apache-2.0
#include "admin/commands.hpp"

#include <cstdlib>
#include <iostream>

int main(int argc, char** argv) {
  constexpr int wrong_usage = 2;
  auto* socket = std::getenv("HEDWIG_ADMIN_SOCKET");
  auto wanted = hedwig::admin::parse({argv + 1, argv + argc}, socket == nullptr ? "" : socket);
  if (!wanted) {
    std::cerr << "hedwig-admin: " << wanted.error() << "\nTry hedwig-admin --help.\n";
    return wrong_usage;
  }
  auto status = hedwig::admin::run(*wanted, std::cin, std::cout, std::cerr);
  std::cout.flush();
  return std::cout ? status : 1; // the disk or the pipe it writes to
}
