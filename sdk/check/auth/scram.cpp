// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/auth/scram.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>

#include "sdk/check/test.hpp"

namespace hedwig::check::auth {

namespace {

constexpr std::size_t digest_octets = 32;

const unsigned char* octets(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }
unsigned char* octets(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

std::string xored(std::string left, std::string_view right) {
  std::ranges::transform(left, right, left.begin(), [](char a, char b) { return static_cast<char>(a ^ b); });
  return left;
}

std::string base64_decoded(std::string_view text) {
  std::string out(text.size() / 4 * 3, '\0');
  auto length = EVP_DecodeBlock(octets(out), octets(text), static_cast<int>(text.size()));
  auto padding = static_cast<std::size_t>(std::ranges::count(text, '='));
  out.resize(length < 0 ? 0 : static_cast<std::size_t>(length) - padding);
  return out;
}

} // namespace

std::string sha256(std::string_view text) {
  std::string out(digest_octets, '\0');
  unsigned int size = 0;
  if (EVP_Digest(text.data(), text.size(), octets(out), &size, EVP_sha256(), nullptr) != 1)
    throw unusable{"SHA-256 failed"};
  return out;
}

std::string hmac_sha256(std::string_view key, std::string_view text) {
  std::string out(digest_octets, '\0');
  unsigned int size = 0;
  if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), octets(text), text.size(), octets(out), &size) ==
      nullptr)
    throw unusable{"HMAC-SHA-256 failed"};
  return out;
}

std::string salted_password(std::string_view password, std::string_view salt, std::uint32_t iterations) {
  std::string out(digest_octets, '\0');
  if (PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), octets(salt), static_cast<int>(salt.size()),
                        static_cast<int>(iterations), EVP_sha256(), digest_octets, octets(out)) != 1)
    throw unusable{"PBKDF2 failed"};
  return out;
}

std::string scram_exchange::proof() const {
  auto client_key = hmac_sha256(salted_password(password, salt, iterations), "Client Key");
  return xored(client_key, hmac_sha256(sha256(client_key), auth_message));
}

std::string scram_exchange::expected_signature() const {
  return hmac_sha256(hmac_sha256(salted_password(password, salt, iterations), "Server Key"), auth_message);
}

bool takes_proof(std::string_view stored_key, std::string_view auth_message, std::string_view proof) {
  return proof.size() == digest_octets && stored_key.size() == digest_octets &&
         sha256(xored(hmac_sha256(stored_key, auth_message), proof)) == stored_key;
}

bool scram_vectors_hold() {
  const std::string nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
  scram_exchange one{"pencil", base64_decoded("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096,
                     "n=user,r=rOprNGfwEbeRWgbNEkqO,r=" + nonce +
                         ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=" + nonce};
  return one.proof() == base64_decoded("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=") &&
         one.expected_signature() == base64_decoded("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

} // namespace hedwig::check::auth
