// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hedwig::check::auth {

/// RFC 5802's functions for SHA-256 (RFC 7677). Throw unusable when the cryptographic library fails.
std::string sha256(std::string_view text);
std::string hmac_sha256(std::string_view key, std::string_view text);
std::string salted_password(std::string_view password, std::string_view salt, std::uint32_t iterations);

/// One SCRAM exchange with nobody between: the client has a password, the server what fetch_scram gave.
struct scram_exchange {
  std::string password;
  std::string salt;
  std::uint32_t iterations = 0;
  std::string auth_message; ///< client-first-bare, server-first, client-final-without-proof

  /// What the client sends: ClientKey xor ClientSignature.
  std::string proof() const;
  /// What the client waits for: the ServerSignature.
  std::string expected_signature() const;
};

/// Whether a server that has `stored_key` takes the proof.
bool takes_proof(std::string_view stored_key, std::string_view auth_message, std::string_view proof);

/// The example of RFC 7677, section 3, holds.
bool scram_vectors_hold();

} // namespace hedwig::check::auth
