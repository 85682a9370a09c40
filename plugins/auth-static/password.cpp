// SPDX-License-Identifier: Apache-2.0
#include "password.hpp"

#include <botan/argon2.h>
#include <botan/bcrypt.h>
#include <botan/hash.h>
#include <botan/mem_ops.h>

#include <algorithm>
#include <memory>

namespace hedwig::auth_static {

namespace {

bool is_bcrypt(std::string_view text) {
  return text.size() > 4 && text.starts_with("$2") && text[3] == '$' &&
         (text[2] == 'a' || text[2] == 'b' || text[2] == 'y');
}

bool is_argon2(std::string_view text) {
  return text.starts_with("$argon2id$") || text.starts_with("$argon2i$") || text.starts_with("$argon2d$");
}

/// "$6$salt$hash" and its like: a hash of crypt(3), not a password.
bool looks_like_hash(std::string_view text) {
  if (!text.starts_with('$'))
    return false;
  auto end = text.find('$', 1);
  return end != std::string_view::npos && end > 1 && end <= 12 && text.find('$', end + 1) != std::string_view::npos;
}

} // namespace

std::optional<std::string> stored_password::fault_of(std::string_view text) {
  if (text.empty())
    return "the password is empty";
  if (is_bcrypt(text))
    return text.size() == 60 ? std::nullopt : std::optional<std::string>{"the bcrypt hash does not have 60 characters"};
  if (is_argon2(text)) {
    if (std::ranges::count(text, '$') != 5)
      return "the argon2 hash does not have the form $argon2id$v=19$m=...,t=...,p=...$salt$hash";
    return std::nullopt;
  }
  if (looks_like_hash(text))
    return "this kind of hash is not known: use argon2id or bcrypt";
  return std::nullopt;
}

stored_password::stored_password(std::string text)
  : kind_{is_argon2(text)   ? kind::argon2
          : is_bcrypt(text) ? kind::bcrypt
                            : kind::plain},
    text_{std::move(text)} {}

bool stored_password::matches(std::string_view password) const {
  switch (kind_) {
  case kind::argon2:
    return Botan::argon2_check_pwhash(password.data(), password.size(), text_);
  case kind::bcrypt:
    return Botan::check_bcrypt(std::string{password}, text_);
  case kind::plain:
    break;
  }
  // Digests have one length, so that the comparison does not tell that of the password.
  auto hash = Botan::HashFunction::create_or_throw("SHA-256");
  auto digest = [&](std::string_view of) {
    hash->update(reinterpret_cast<const std::uint8_t*>(of.data()), of.size());
    return hash->final();
  };
  auto want = digest(text_);
  auto got = digest(password);
  return Botan::constant_time_compare(want.data(), got.data(), want.size());
}

} // namespace hedwig::auth_static
