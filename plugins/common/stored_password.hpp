// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/auth.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hedwig::logins {

/// What a configuration, a file or a database holds for one user: an argon2 PHC string ("$argon2id$v=19$m=…"), a bcrypt
/// hash ("$2b$12$…", also $2a$ and $2y$), one of crypt(3) ($6$, $5$, $y$, $7$: SHA-512, SHA-256, yescrypt, scrypt), a
/// secret of SCRAM (see read_scram), or the password itself. Thread-safe.
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
  enum class kind : std::uint8_t { plain, argon2, bcrypt, scram, crypt };
  [[nodiscard]] static kind kind_of(std::string_view text);
  kind kind_;
  std::string text_;
};

} // namespace hedwig::logins
