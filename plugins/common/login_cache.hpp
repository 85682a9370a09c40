// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/auth.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace hedwig::logins {

/// What was learnt about logins lately. Passwords are kept as HMAC-SHA-256 under a key made at the start and never
/// written anywhere; users who have logged in are kept apart from other names, so that guessing drives none of them
/// out. Thread-safe.
class login_cache {
public:
  struct times {
    std::chrono::nanoseconds right{};
    std::chrono::nanoseconds wrong{}; ///< wrong passwords, and names that nobody has
  };
  enum class known : std::uint8_t { nothing, right, wrong, nobody };
  struct answer {
    known what = known::nothing;
    std::shared_ptr<const sdk::identity> who; ///< of `right`
  };
  using digest = std::array<std::uint8_t, 32>;

  login_cache(std::size_t entries_max, times keep);

  [[nodiscard]] digest digest_of(std::string_view user, std::string_view password) const;
  [[nodiscard]] answer ask(const std::string& user, const digest& password, hedwig_time_ns now);
  /// Replaces another password of the same user: the old one is wrong from here on.
  void remember_right(const std::string& user, const digest& password, std::shared_ptr<const sdk::identity> who,
                      hedwig_time_ns now);
  /// Forgets it as the right one, too. `as`: wrong, or nobody where that is said of the name with this password only.
  void remember_wrong(const std::string& user, const digest& password, hedwig_time_ns now, known as = known::wrong);
  void remember_nobody(const std::string& user, hedwig_time_ns now);

  static constexpr std::size_t wrong_passwords_max = 4; ///< of one user; the oldest goes

private:
  struct wrong_one {
    digest password;
    hedwig_time_ns until;
    known as;
  };
  struct entry_of_user {
    std::string user;
    digest password{};
    hedwig_time_ns until = 0;
    std::shared_ptr<const sdk::identity> who;
    std::vector<wrong_one> wrong;
    [[nodiscard]] known refusal_of(const digest& password_given, hedwig_time_ns now) const;
  };
  /// The entry used last stands first.
  class table {
  public:
    [[nodiscard]] entry_of_user* find(const std::string& user);
    [[nodiscard]] entry_of_user& at(const std::string& user, std::size_t entries_max);
    void erase(const std::string& user);

  private:
    std::list<entry_of_user> entries_;
    std::unordered_map<std::string_view, std::list<entry_of_user>::iterator> by_user_; // views of the entries' names
  };

  const std::size_t entries_max_;
  const times keep_;
  std::vector<std::uint8_t> key_;
  std::mutex mutex_;
  table users_;
  table nobodies_;
};

} // namespace hedwig::logins
