// SPDX-License-Identifier: Apache-2.0
// The header of a proxy in front of us, versions 1 and 2. Input: what the connection begins with.
#include "runtime/net/proxy_header.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace hedwig::fuzz {

void proxy(std::string_view input) {
  auto whole = net::parse_proxy_header(input);
  if (!whole)
    demand(!whole.error().empty(), "what is wrong has a name");
  // What one more octet says is never taken back: an error stays one, and a header stays the same header.
  bool seen = false;
  for (std::size_t size = 0; size <= input.size(); ++size) {
    const std::string front{input.substr(0, size)};
    auto so_far = net::parse_proxy_header(front);
    if (!so_far) {
      demand(!whole, "an error stays an error");
      return;
    }
    if (!*so_far) {
      demand(!seen, "a header that was whole stays whole");
      demand(size < net::proxy_v1_octets_max || input.starts_with("\r\n\r\n"), "version 1 has its limit");
      demand(size < net::proxy_v2_octets_max, "version 2 has its limit");
      continue;
    }
    auto& header = **so_far;
    demand(header.size <= size && header.size != 0, "a header is in what was given");
    demand(seen || header.size == size, "a header is whole with its last octet");
    seen = true;
    demand(whole && *whole && (*whole)->size == header.size && (*whole)->version == header.version,
           "what follows changes nothing");
    if (size > header.size + 16)
      return;
  }
  demand(!whole->has_value() || seen, "the same in one piece");
}

} // namespace hedwig::fuzz
