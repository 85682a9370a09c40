// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/base/error.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace hedwig::dkim {

enum class key_type : std::uint8_t { rsa, ed25519 };

/// "rsa", "ed25519": as in the config and as `k=` in the DNS record.
[[nodiscard]] std::string_view to_string_view(key_type type) noexcept;
/// HEDWIG_E_CONFIG when it is neither.
[[nodiscard]] result<key_type> parse_key_type(std::string_view text);

/// Least bits of an RSA key we sign with (RFC 8301, section 3.2), and those below which we warn.
inline constexpr std::size_t rsa_bits_min = 1024;
inline constexpr std::size_t rsa_bits_advised = 2048;
/// Most bytes of a key file.
inline constexpr std::size_t key_file_size_max = 64 * 1024;

/// A private key for signing. Immutable, cheap to copy (shared); sign() may be called by several threads at once.
class signing_key {
public:
  /// Reads a PEM file: PKCS#8 or PKCS#1, not encrypted. HEDWIG_E_CONFIG with the path in `where` and the reason in
  /// words: missing, no permission, encrypted, not PEM, a kind that DKIM does not know, too short. What works but
  /// should not stay so (readable by everybody, under 2048 bits) is appended to `warnings`.
  [[nodiscard]] static result<signing_key> load(const std::filesystem::path& file, std::vector<std::string>& warnings);
  /// The same from text; `where` names it in errors.
  [[nodiscard]] static result<signing_key> from_pem(std::string_view pem, std::string_view where,
                                                    std::vector<std::string>& warnings);
  /// A new key: RSA of `rsa_bits`, or Ed25519.
  [[nodiscard]] static signing_key generate(key_type type, std::size_t rsa_bits = rsa_bits_advised);

  [[nodiscard]] key_type type() const noexcept;
  [[nodiscard]] std::size_t bits() const noexcept;
  /// PKCS#8 PEM, for `hedwig dkim-generate`. Secret.
  [[nodiscard]] std::string private_pem() const;
  /// What stands after `p=`: base64 of SubjectPublicKeyInfo for RSA, of the 32 raw bytes for Ed25519 (RFC 8463).
  [[nodiscard]] std::string public_base64() const;

  /// Signs a SHA-256 of the header data: RSASSA-PKCS1-v1_5 over it, or PureEdDSA of it (RFC 8463, section 3).
  /// Raw signature bytes.
  [[nodiscard]] result<std::string> sign(std::string_view sha256) const;

private:
  struct state;
  explicit signing_key(std::shared_ptr<const state> shared) noexcept : state_{std::move(shared)} {}
  std::shared_ptr<const state> state_;
};

/// The value of the TXT record: "v=DKIM1; k=rsa; p=...".
[[nodiscard]] std::string dns_value(const signing_key& key);
/// The TXT record as a line of a zone file, the value split into strings of at most 255 bytes (RFC 6376, section
/// 3.6.2.2): `s1._domainkey.example.com. IN TXT ( "v=DKIM1; ..." "..." )`.
[[nodiscard]] std::string dns_record(const signing_key& key, std::string_view selector, std::string_view domain);

} // namespace hedwig::dkim
