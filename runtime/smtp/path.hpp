// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <expected>
#include <string_view>

#include "runtime/mail/address.hpp"

namespace hedwig::smtp {

/// Reads "<address>" or "<>" at the front of `rest` and moves `rest` behind the ">". An empty address is the null
/// reverse-path. RFC 5321 section 4.1.2, with source routes refused.
[[nodiscard]] std::expected<mail::address, mail::address_fault> take_reverse_path(std::string_view& rest);

/// Reads "<address>" or "<postmaster>" (any case, RFC 5321 section 4.5.1); "<>" is a fault.
[[nodiscard]] std::expected<mail::address, mail::address_fault> take_forward_path(std::string_view& rest);

} // namespace hedwig::smtp
