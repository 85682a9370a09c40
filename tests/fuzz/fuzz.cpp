// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/fuzz.hpp"

#include <cstdio>
#include <cstdlib>

namespace hedwig::fuzz {

void demand(bool holds, std::string_view promise) {
  if (holds)
    return;
  std::fprintf(stderr, "broken promise: %.*s\n", static_cast<int>(promise.size()), promise.data());
  std::abort();
}

std::span<const named_target> targets() noexcept {
  static constexpr named_target all[] = {
      {"base64", base64}, {"client", client}, {"command", command},   {"data", data},
      {"dns", dns},       {"header", header}, {"metadata", metadata}, {"proxy", proxy},
      {"reply", reply},   {"sasl", sasl},     {"session", session},   {"tls", tls},
  };
  return all;
}

} // namespace hedwig::fuzz
