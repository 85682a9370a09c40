// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

// A second factor (RFC 6238) for mail programs, which cannot ask for one: the user appends the six digits that his
// authenticator shows to his password.
namespace hedwig::logins {

inline constexpr std::size_t totp_digits = 6;
inline constexpr std::int64_t totp_step_seconds = 30;

/// What the user's authenticator was given: SHA-1, six digits, steps of 30 seconds, as all of them know it.
class totp_secret {
public:
  /// Base32 (RFC 4648) as authenticators show it: any case, blanks and hyphens, padding or none; 10 to 128 octets.
  /// Nothing when it is not that.
  [[nodiscard]] static std::optional<totp_secret> read(std::string_view base32);
  totp_secret(totp_secret&&) noexcept = default;
  totp_secret& operator=(totp_secret&&) noexcept = default;
  ~totp_secret();

  /// The step whose code it is: that of `now` (seconds since 1970), the one before or the one behind. Takes as long
  /// for a wrong code.
  [[nodiscard]] std::optional<std::int64_t> step_of(std::string_view code, std::int64_t now) const;
  /// "287082"
  [[nodiscard]] std::string code_of(std::int64_t step) const;

private:
  explicit totp_secret(std::string key) : key_{std::move(key)} {}
  std::string key_;
};

/// Password and code of what a client sent: its last six octets, digits or not, are the code. Views of it.
[[nodiscard]] std::pair<std::string_view, std::string_view> split_code(std::string_view sent) noexcept;

/// Codes that somebody has logged in with: each is good once. Bounded by the logins of two minutes, and by
/// `entries_max`; where that many users log in at once, the newest is put off. Thread-safe.
class used_codes {
public:
  explicit used_codes(std::size_t entries_max = 1'000'000) : entries_max_{entries_max} {}

  /// False: it was used before, or one of a later step was.
  [[nodiscard]] bool use(const std::string& user, std::int64_t step, std::int64_t now);
  [[nodiscard]] std::size_t size() const;

private:
  const std::size_t entries_max_;
  mutable std::mutex mutex_;
  std::map<std::string, std::int64_t> last_; // step by user
  std::set<std::pair<std::int64_t, std::string>> by_step_;
};

} // namespace hedwig::logins
