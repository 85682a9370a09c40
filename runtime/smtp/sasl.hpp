// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace hedwig::smtp {

/// Octets of a user name, an authorisation identity or a password (RFC 4616 section 2 says 255 for each).
inline constexpr std::size_t credential_octets_max = 255;

/// Bytes that are overwritten when they go. Moves, never copies.
class secret {
public:
  secret() = default;
  explicit secret(std::string bytes) noexcept : bytes_{std::make_unique<std::string>(std::move(bytes))} {}
  secret(secret&&) noexcept = default;
  secret& operator=(secret&& other) noexcept;
  ~secret() { wipe(); }

  [[nodiscard]] std::string_view view() const noexcept {
    return bytes_ ? std::string_view{*bytes_} : std::string_view{};
  }
  void wipe() noexcept;

private:
  // On the heap, so that moving it cannot leave a copy in a small-string buffer.
  std::unique_ptr<std::string> bytes_;
};

/// Overwrites the bytes, whatever the optimiser thinks, and empties the string.
void wipe(std::string& bytes) noexcept;

/// Strict base64 (RFC 4648 section 4): padding required, no white space, unused bits zero. Nothing when malformed.
[[nodiscard]] std::optional<std::string> decode_base64(std::string_view text);
[[nodiscard]] std::string encode_base64(std::string_view bytes);

/// What a client wants to be known as.
struct credentials {
  std::string username;     ///< authentication identity
  std::string authorize_as; ///< authorisation identity; empty: the same
  secret password;
};

/// What the server does next: send a challenge (raw, not yet base64), check credentials, or give up (501).
struct sasl_challenge {
  std::string text;
};
struct sasl_malformed {};
using sasl_step = std::variant<sasl_challenge, credentials, sasl_malformed>;

/// The server's side of one SASL exchange. Used once, on one thread.
class sasl_exchange {
public:
  virtual ~sasl_exchange() = default;
  /// Called first with the initial response, if the client sent one, then with each response; decoded bytes.
  [[nodiscard]] virtual sasl_step step(std::optional<std::string_view> response) = 0;
};

/// An exchange for "PLAIN" (RFC 4616) or "LOGIN" (draft-murchison-sasl-login), in any case; null for others.
[[nodiscard]] std::unique_ptr<sasl_exchange> make_sasl_exchange(std::string_view mechanism);

} // namespace hedwig::smtp
