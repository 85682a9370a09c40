// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
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

/// Octets of a bearer token.
inline constexpr std::size_t token_octets_max = 8192;
/// Octets of one decoded message of a SCRAM client, and of the nonce in it.
inline constexpr std::size_t scram_message_octets_max = 2048;
inline constexpr std::size_t scram_nonce_octets_max = 256;

/// Whom a mechanism needs: the questions of <hedwig/auth.h>.
enum class sasl_question : std::uint8_t { password, token, scram, external };

/// What a client wants to be known as, and what has to be found out about it.
struct credentials {
  /// Authentication identity; of a token what the client says it is for, perhaps nothing; with `external` the owner
  /// knows.
  std::string username;
  std::string authorize_as; ///< authorisation identity; empty: the same
  secret password;          ///< or the token; empty with `scram` and `external`
  sasl_question question = sasl_question::password;
  /// With `scram`: the type of channel binding (RFC 5929, RFC 9266) whose data is wanted too; empty: none.
  std::string channel_binding = {};
};

/// What a proof is checked against (RFC 5803); the last two have 32 octets.
struct scram_keys {
  std::uint32_t iterations = 0;
  std::string salt;
  std::string stored_key;
  std::string server_key;
  bool of_nobody = false; ///< made up: no proof fits
};

/// What the server does next.
struct sasl_challenge { ///< sends it; raw, not yet base64
  std::string text;
};
struct sasl_malformed {}; ///< gives up: 501
struct sasl_proved {      ///< the client has shown that it knows the secret behind the keys
  std::string username;
};
struct sasl_refused { ///< as wrong credentials are, without asking anybody
  std::string username;
  std::string_view why; ///< for a log; constant text
};
struct sasl_heard {}; ///< the client has taken notice of failure_notice()
using sasl_step = std::variant<sasl_challenge, credentials, sasl_proved, sasl_refused, sasl_heard, sasl_malformed>;

/// The server's side of one SASL exchange. Used once, on one thread.
class sasl_exchange {
public:
  virtual ~sasl_exchange() = default;
  /// Called first with the initial response, if the client sent one, then with each response; decoded bytes.
  [[nodiscard]] virtual sasl_step step(std::optional<std::string_view> response) = 0;
  /// The answer to credentials with `scram`. `binding`: data of the channel binding; empty: this connection has none.
  [[nodiscard]] virtual sasl_step keys_found(scram_keys, std::string_view /*binding*/) { return sasl_malformed{}; }
  /// What the client is told, and answers with one more response, before it hears that it failed; nothing: at once.
  [[nodiscard]] virtual std::optional<std::string> failure_notice() { return std::nullopt; }
};

/// What a connection can do beside the mechanism.
struct sasl_scene {
  bool offers_channel_binding = false;   ///< a mechanism that ends in -PLUS was offered
  std::string (*make_nonce)() = nullptr; ///< null: from the system's randomness
};

/// An exchange for "PLAIN" (RFC 4616), "LOGIN" (draft-murchison-sasl-login), "OAUTHBEARER" (RFC 7628), "XOAUTH2"
/// (Google's forerunner of it), "SCRAM-SHA-256" or "SCRAM-SHA-256-PLUS" (RFC 5802, 7677) or "EXTERNAL" (RFC 4422,
/// appendix A), in any case; null for others.
[[nodiscard]] std::unique_ptr<sasl_exchange> make_sasl_exchange(std::string_view mechanism,
                                                                const sasl_scene& scene = {});

/// The question behind a mechanism, in capitals; nothing for one that make_sasl_exchange() does not know.
[[nodiscard]] std::optional<sasl_question> question_of_mechanism(std::string_view mechanism) noexcept;
/// It works only with the data of a channel binding.
[[nodiscard]] inline bool binds_channel(std::string_view mechanism) noexcept { return mechanism.ends_with("-PLUS"); }

namespace detail {
/// Names end up in logs and policies: no control bytes, valid UTF-8, not too long.
[[nodiscard]] bool is_sasl_name(std::string_view text) noexcept;
/// RFC 5802 section 5.1: "=2C" and "=3D" for , and =. Nothing when it is malformed.
[[nodiscard]] std::optional<std::string> decode_saslname(std::string_view text);
[[nodiscard]] std::unique_ptr<sasl_exchange> make_oauthbearer_exchange();
[[nodiscard]] std::unique_ptr<sasl_exchange> make_xoauth2_exchange();
[[nodiscard]] std::unique_ptr<sasl_exchange> make_scram_exchange(bool plus, const sasl_scene& scene);
} // namespace detail

} // namespace hedwig::smtp
