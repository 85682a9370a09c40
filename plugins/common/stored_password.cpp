// SPDX-License-Identifier: Apache-2.0
#include "stored_password.hpp"

#include <botan/argon2.h>
#include <botan/bcrypt.h>
#include <botan/hash.h>
#include <botan/mac.h>
#include <botan/mem_ops.h>
#include <botan/pwdhash.h>

#include <crypt.h>

#include <algorithm>
#include <charconv>
#include <memory>

#include "scram_text.hpp"

namespace hedwig::logins {

namespace {

bool is_bcrypt(std::string_view text) {
  return text.size() > 4 && text.starts_with("$2") && text[3] == '$' &&
         (text[2] == 'a' || text[2] == 'b' || text[2] == 'y');
}

bool is_argon2(std::string_view text) {
  return text.starts_with("$argon2id$") || text.starts_with("$argon2i$") || text.starts_with("$argon2d$");
}

constexpr std::size_t sha256_octets = 32;
constexpr std::uint32_t iterations_of_plain = 4096; // RFC 7677 section 4, and what the host pretends of nobody

std::string text_of(const Botan::secure_vector<std::uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

Botan::secure_vector<std::uint8_t> hmac(const Botan::secure_vector<std::uint8_t>& key, std::string_view text) {
  auto mac = Botan::MessageAuthenticationCode::create_or_throw("HMAC(SHA-256)");
  mac->set_key(key);
  mac->update(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  return mac->final();
}

/// RFC 5802 section 3.
sdk::scram_secret make_scram(std::string_view password, std::string salt, std::uint32_t iterations) {
  Botan::secure_vector<std::uint8_t> salted(sha256_octets);
  auto hash = Botan::PasswordHashFamily::create_or_throw("PBKDF2(SHA-256)")->from_params(iterations);
  hash->derive_key(salted.data(), salted.size(), password.data(), password.size(),
                   reinterpret_cast<const std::uint8_t*>(salt.data()), salt.size());
  auto stored = Botan::HashFunction::create_or_throw("SHA-256");
  stored->update(hmac(salted, "Client Key"));
  return {iterations, std::move(salt), text_of(stored->final()), text_of(hmac(salted, "Server Key")), {}};
}

/// Hashes of crypt(3): SHA-256, SHA-512, yescrypt, scrypt.
bool is_crypt(std::string_view text) {
  return text.starts_with("$5$") || text.starts_with("$6$") || text.starts_with("$y$") || text.starts_with("$7$");
}

/// What would keep a thread busy for minutes is taken for a mistake, or worse.
bool has_too_many_rounds(std::string_view text) {
  constexpr std::string_view mark = "rounds=";
  constexpr std::uint64_t rounds_max = 5'000'000;
  auto at = text.find(mark);
  if (at != 3)
    return false;
  std::uint64_t rounds = 0;
  auto [end, fault] = std::from_chars(text.data() + at + mark.size(), text.data() + text.size(), rounds);
  return fault != std::errc{} || rounds > rounds_max;
}

bool matches_crypt(std::string_view password, const std::string& hash) {
  if (password.contains('\0'))
    return false;                               // crypt() would take what stands before it for the whole
  auto memory = std::make_unique<crypt_data>(); // 32 KiB
  const std::string phrase{password};
  // Not crypt_r: the address sanitizer's own finds no libcrypt behind it in a plugin.
  const auto* made = ::crypt_rn(phrase.c_str(), hash.c_str(), memory.get(), sizeof *memory);
  return made != nullptr && std::string_view{made}.size() == hash.size() &&
         Botan::constant_time_compare(reinterpret_cast<const std::uint8_t*>(made),
                                      reinterpret_cast<const std::uint8_t*>(hash.data()), hash.size());
}

/// "$1$salt$hash" and its like: a hash, not a password.
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
  if (is_scram_text(text)) {
    if (!read_scram(text))
      return "the SCRAM secret does not have the form SCRAM-SHA-256$iterations:salt$stored key:server key or "
             "{SCRAM-SHA-256}iterations,salt,stored key,server key, in base64";
    return std::nullopt;
  }
  if (is_crypt(text)) {
    if (has_too_many_rounds(text))
      return "the hash asks for more than 5000000 rounds";
    auto salt = ::crypt_checksalt(std::string{text}.c_str());
    auto usable = salt != CRYPT_SALT_INVALID && salt != CRYPT_SALT_METHOD_DISABLED && text.rfind('$') > 3;
    return usable ? std::nullopt : std::optional<std::string>{"the hash of crypt(3) is malformed"};
  }
  if (looks_like_hash(text))
    return "this kind of hash is not known: use argon2id or bcrypt";
  return std::nullopt;
}

stored_password::kind stored_password::kind_of(std::string_view text) {
  return is_argon2(text)       ? kind::argon2
         : is_bcrypt(text)     ? kind::bcrypt
         : is_crypt(text)      ? kind::crypt
         : is_scram_text(text) ? kind::scram
                               : kind::plain;
}

stored_password::stored_password(std::string text) : kind_{kind_of(text)}, text_{std::move(text)} {}

std::optional<sdk::scram_secret> stored_password::scram(std::string_view salt) const {
  if (kind_ == kind::scram)
    return read_scram(text_);
  if (kind_ == kind::plain)
    return make_scram(text_, std::string{salt}, iterations_of_plain);
  return std::nullopt;
}

bool stored_password::matches(std::string_view password) const {
  switch (kind_) {
  case kind::argon2:
    return Botan::argon2_check_pwhash(password.data(), password.size(), text_);
  case kind::bcrypt:
    return Botan::check_bcrypt(std::string{password}, text_);
  case kind::scram: {
    auto secret = read_scram(text_);
    auto made = make_scram(password, secret->salt, secret->iterations);
    return Botan::constant_time_compare(reinterpret_cast<const std::uint8_t*>(made.stored_key.data()),
                                        reinterpret_cast<const std::uint8_t*>(secret->stored_key.data()),
                                        sha256_octets);
  }
  case kind::crypt:
    return matches_crypt(password, text_);
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

} // namespace hedwig::logins
