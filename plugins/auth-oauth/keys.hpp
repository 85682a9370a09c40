// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace Botan {
class Public_Key;
}

namespace hedwig::auth_oauth {

/// Of RFC 7518 and RFC 8037, those with a public key. There are no others: neither "none" nor HMAC can be asked for.
enum class algorithm : std::uint8_t { rs256, ps256, es256, eddsa };
/// By its name in a token, exactly so.
[[nodiscard]] std::optional<algorithm> algorithm_of(std::string_view name) noexcept;

inline constexpr std::size_t jwks_octets_max = std::size_t{256} << 10;
inline constexpr std::size_t keys_max = 64;
inline constexpr std::size_t rsa_bits_min = 2048;
inline constexpr std::size_t rsa_bits_max = 8192;

/// One key of a JWK set that signatures can be checked with.
class verification_key {
public:
  verification_key(std::string id, std::optional<algorithm> only, std::shared_ptr<const Botan::Public_Key> key)
    : id_{std::move(id)}, only_{only}, key_{std::move(key)} {}

  [[nodiscard]] const std::string& id() const noexcept { return id_; }
  /// Its type, and what the set says it is for, allow this.
  [[nodiscard]] bool fits(algorithm with) const;
  /// False as well where it does not fit. Thread-safe.
  [[nodiscard]] bool verifies(algorithm with, std::string_view text, std::string_view signature) const;

private:
  std::string id_; // empty: none
  std::optional<algorithm> only_;
  std::shared_ptr<const Botan::Public_Key> key_;
};

/// Immutable.
struct key_set {
  std::vector<verification_key> keys;
  std::size_t left_out = 0; ///< for encryption, of kinds that are not known, too weak or broken
};

/// Reads a JWK set (RFC 7517). Throws failure(UNAVAILABLE) when it is none, too large, or holds no key to use.
[[nodiscard]] key_set read_keys(std::string_view text);

} // namespace hedwig::auth_oauth
