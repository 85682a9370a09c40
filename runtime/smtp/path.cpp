// SPDX-License-Identifier: Apache-2.0
#include "runtime/smtp/path.hpp"

#include <algorithm>

namespace hedwig::smtp {

namespace {

using faulty = std::unexpected<mail::address_fault>;

std::expected<mail::address, mail::address_fault> take_mailbox(std::string_view& rest) {
  auto found = mail::address::take(rest);
  if (!found)
    return found;
  if (!rest.starts_with('>'))
    return faulty{mail::address_fault::syntax};
  rest.remove_prefix(1);
  return found;
}

bool is_postmaster(std::string_view text) noexcept {
  return std::ranges::equal(text, std::string_view{"postmaster"},
                            [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + ('a' - 'A') : a) == b; });
}

} // namespace

std::expected<mail::address, mail::address_fault> take_reverse_path(std::string_view& rest) {
  if (!rest.starts_with('<'))
    return faulty{mail::address_fault::syntax};
  rest.remove_prefix(1);
  if (rest.starts_with('>')) {
    rest.remove_prefix(1);
    return mail::address{};
  }
  return take_mailbox(rest);
}

std::expected<mail::address, mail::address_fault> take_forward_path(std::string_view& rest) {
  constexpr std::size_t postmaster_octets = 10;
  if (!rest.starts_with('<'))
    return faulty{mail::address_fault::syntax};
  rest.remove_prefix(1);
  if (rest.size() > postmaster_octets && rest[postmaster_octets] == '>' &&
      is_postmaster(rest.substr(0, postmaster_octets))) {
    auto found = mail::address::postmaster(rest.substr(0, postmaster_octets));
    rest.remove_prefix(postmaster_octets + 1);
    return found;
  }
  return take_mailbox(rest);
}

} // namespace hedwig::smtp
