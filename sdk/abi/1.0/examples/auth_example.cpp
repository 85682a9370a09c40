// SPDX-License-Identifier: Apache-2.0
// A whole plugin: users from the config file.
#include <hedwig/hedwig.hpp>

#include <string>
#include <unordered_map>

namespace {

constexpr auto user_name = hedwig::sdk::key(HEDWIG_CONFIG_STRING, "name", "Login name.", HEDWIG_CONFIG_REQUIRED);
constexpr auto user_password = hedwig::sdk::key(HEDWIG_CONFIG_SECRET, "password", "Password.", HEDWIG_CONFIG_REQUIRED);
constexpr const hedwig_config_key* user_keys[] = {&user_name, &user_password};
constexpr hedwig_config_schema user_schema{sizeof user_schema, 2, user_keys};

constexpr auto users = hedwig::sdk::key(HEDWIG_CONFIG_TABLES, "user", "One table per user.", HEDWIG_CONFIG_REQUIRED,
                                        nullptr, &user_schema);
constexpr const hedwig_config_key* keys[] = {&users};
constexpr hedwig_config_schema schema{sizeof schema, 1, keys};

class static_users {
public:
  static_users(hedwig::sdk::host host, const hedwig::sdk::config& config) {
    for (std::size_t i = 0; i < config.count("user"); ++i) {
      auto user = config.table("user", i);
      if (user.string("password").empty())
        throw hedwig::sdk::failure{HEDWIG_E_CONFIG, "must not be empty", "user.password"};
      if (!passwords_.emplace(user.string("name"), user.string("password")).second)
        throw hedwig::sdk::failure{HEDWIG_E_CONFIG, "this user appears twice", "user.name"};
    }
    host.log(HEDWIG_LOG_INFO, "users loaded", {{"count", std::to_string(passwords_.size())}});
  }

  hedwig::sdk::identity verify_password(const hedwig_auth_request& request) {
    auto user = passwords_.find(std::string{hedwig::sdk::view(request.username)});
    if (user == passwords_.end())
      throw hedwig::sdk::failure{HEDWIG_E_NOT_FOUND, "no such user"};
    if (!same(user->second, request.secret))
      throw hedwig::sdk::failure{HEDWIG_E_DENIED, "wrong password"};
    if (auto other = hedwig::sdk::view(request.authorize_as); !other.empty() && other != user->first)
      throw hedwig::sdk::failure{HEDWIG_E_DENIED, "may not act for another user"};
    return {.name = user->first, .groups = {"submitters"}};
  }

private:
  static bool same(const std::string& want, hedwig_bytes got) { // constant time
    unsigned diff = want.size() != got.size;
    for (std::size_t i = 0; i < got.size; ++i)
      diff |= static_cast<unsigned char>(want[i % want.size()]) ^ got.data[i];
    return diff == 0;
  }
  std::unordered_map<std::string, std::string> passwords_;
};

constexpr auto provider = hedwig::sdk::auth_provider<static_users>::make(
    "example", "Users listed in the configuration file.", &schema, HEDWIG_PROVIDER_ISOLATABLE);

} // namespace

HEDWIG_PLUGIN("org.hedwig.example-auth", "1.0.0", "Hedwig", "Apache-2.0", &provider)
