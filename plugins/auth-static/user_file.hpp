// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hedwig::auth_static {

struct user_entry {
  std::string name;
  std::string password; ///< see stored_password
  std::vector<std::string> groups;
  std::vector<std::string> senders;
  std::string totp = {}; ///< base32; empty: the password alone
};

inline constexpr std::size_t users_max = 1'000'000;
inline constexpr std::size_t file_size_max = std::size_t{256} << 20;

/// Reads lines "name:password[:group,group[:sender,sender]][:totp=SECRET]"; empty ones and those that start with # are
/// skipped.
/// Throws sdk::failure(CONFIG) with the path and the line.
[[nodiscard]] std::vector<user_entry> parse_users(std::string_view text, const std::string& path);

struct loaded_file {
  std::vector<user_entry> users;
  bool world_readable = false;
};
/// Throws sdk::failure(CONFIG or IO).
[[nodiscard]] loaded_file read_user_file(const std::string& path);

} // namespace hedwig::auth_static
