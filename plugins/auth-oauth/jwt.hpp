// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "json.hpp"
#include "keys.hpp"

namespace hedwig::auth_oauth {

/// A signed token in its compact form (RFC 7515 section 3.1), taken apart and not yet believed. A view into the text.
struct unverified_token {
  json_object header;
  json_object claims;
  std::string_view signed_text;
  std::string signature;
};
/// Throws failure(NOT_FOUND) for what is none.
[[nodiscard]] unverified_token take_apart(std::string_view token);

struct signing {
  algorithm with{};
  std::string key_id; ///< empty: none
};
/// How it is signed, by its own word. Throws failure(DENIED) with the reason: an algorithm that is not in `allowed`, a
/// header that asks for what we do not do, no signature.
[[nodiscard]] signing signing_of(const unverified_token& token, const std::vector<algorithm>& allowed);

enum class signature_verdict : std::uint8_t { right, wrong, unknown_key };
[[nodiscard]] signature_verdict check_signature(const unverified_token& token, const signing& how, const key_set& keys);

} // namespace hedwig::auth_oauth
