// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/auth.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hedwig::auth_static {

/// What the configuration or the file holds for one user: an argon2 PHC string ("$argon2id$v=19$m=…"), a bcrypt hash
/// ("$2b$12$…", also $2a$ and $2y$), a secret of SCRAM ("SCRAM-SHA-256$4096:SALT$STOREDKEY:SERVERKEY", RFC 5803, or
/// gsasl's way of writing it), or the password itself.
class stored_password {
public:
  /// What is wrong with `text` instead, such as a hash of another kind.
  [[nodiscard]] static std::optional<std::string> fault_of(std::string_view text);
  explicit stored_password(std::string text);

  [[nodiscard]] bool is_plain() const noexcept { return kind_ == kind::plain; }
  /// Takes as long for a wrong password as for the right one; milliseconds for a hash.
  [[nodiscard]] bool matches(std::string_view password) const;
  /// What SCRAM-SHA-256 checks a proof against, without who it is; nothing of an argon2 or bcrypt hash. From a password
  /// in clear it is made each time, with `salt`, in milliseconds.
  [[nodiscard]] std::optional<sdk::scram_secret> scram(std::string_view salt) const;

private:
  enum class kind : std::uint8_t { plain, argon2, bcrypt, scram };
  [[nodiscard]] static kind kind_of(std::string_view text);
  kind kind_;
  std::string text_;
};

} // namespace hedwig::auth_static
