// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "stored_password.hpp"
#include "totp.hpp"
#include "user_file.hpp"

namespace hedwig::auth_static {

using logins::stored_password;

struct user {
  stored_password password;
  std::vector<std::string> groups;
  std::vector<std::string> senders;
  std::optional<logins::totp_secret> totp = {};
};

/// All users at one moment; immutable once filled, read by many threads.
class users {
public:
  /// False: the name is taken.
  bool add(user_entry entry);

  [[nodiscard]] const user* find(const std::string& name) const;
  [[nodiscard]] std::size_t size() const noexcept { return all_.size(); }
  [[nodiscard]] std::size_t plain() const noexcept { return plain_; }
  /// Spends on an unknown name the time that a wrong password of some user would take: the same user each time for one
  /// name, so that asking often does not show which names exist either.
  void waste_time(std::string_view name, std::string_view password) const;
  /// What SCRAM checks a proof of `of` against; nothing when only a hash of his password is known.
  [[nodiscard]] std::optional<sdk::scram_secret> scram(std::string_view name, const user& of) const;
  /// The same for an unknown name, which has none.
  void waste_scram_time(std::string_view name) const;

private:
  [[nodiscard]] std::string digest_of(std::string_view name) const;
  [[nodiscard]] const user* stand_in_for(std::string_view name) const;

  std::unordered_map<std::string, user> all_;
  std::vector<const user*> by_number_;
  std::size_t plain_ = 0;
};

} // namespace hedwig::auth_static
