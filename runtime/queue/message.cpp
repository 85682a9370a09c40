// SPDX-License-Identifier: Apache-2.0
#include "runtime/queue/message.hpp"

#include <utility>

namespace hedwig::queue {

message_ptr with_body(const message& known, std::optional<rope> body, memory_hold memory) {
  auto copy = std::make_shared<message>(known);
  copy->body = std::move(body);
  copy->memory = std::move(memory);
  return copy;
}

std::string domain_of(std::string_view address) {
  auto at = address.rfind('@');
  if (at == std::string_view::npos)
    return {};
  std::string domain{address.substr(at + 1)};
  if (domain.ends_with('.'))
    domain.pop_back();
  for (auto& c : domain)
    if (c >= 'A' && c <= 'Z')
      c = static_cast<char>(c - 'A' + 'a');
  return domain;
}

} // namespace hedwig::queue
