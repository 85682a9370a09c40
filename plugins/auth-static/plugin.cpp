// SPDX-License-Identifier: Apache-2.0
// The auth provider "static": users from the configuration and from a file.
#include <hedwig/auth.hpp>
#include <hedwig/reloadable.hpp>

#include <memory>

#include "users.hpp"

namespace {

using hedwig::sdk::failure;
using hedwig::sdk::key;
using namespace hedwig::auth_static;
using hedwig::logins::split_code;
using hedwig::logins::totp_secret;
using hedwig::logins::used_codes;

constexpr auto user_username = key(HEDWIG_CONFIG_STRING, "username", "Login name.", HEDWIG_CONFIG_RELOADABLE);
constexpr auto user_name = key(HEDWIG_CONFIG_STRING, "name", "The same as username.", HEDWIG_CONFIG_RELOADABLE);
constexpr auto user_password = key(HEDWIG_CONFIG_SECRET, "password",
                                   "A hash: argon2id, bcrypt, one of crypt(3) such as $6$, or a secret of "
                                   "SCRAM-SHA-256; the password itself is accepted "
                                   "with a warning.",
                                   HEDWIG_CONFIG_REQUIRED | HEDWIG_CONFIG_RELOADABLE);
constexpr auto user_groups =
    key(HEDWIG_CONFIG_STRINGS, "groups", "Groups the user belongs to.", HEDWIG_CONFIG_RELOADABLE);
constexpr auto user_senders =
    key(HEDWIG_CONFIG_STRINGS, "senders", "Addresses or domain patterns the user may send from; none: any.",
        HEDWIG_CONFIG_RELOADABLE);
constexpr auto user_totp = key(
    HEDWIG_CONFIG_SECRET, "totp",
    "Secret of the user's authenticator in base32 (RFC 6238: SHA-1, 6 digits, 30 seconds). He then appends its code "
    "to his password; SCRAM is not for him.",
    HEDWIG_CONFIG_RELOADABLE);
constexpr const hedwig_config_key* user_keys[] = {&user_username, &user_name,    &user_password,
                                                  &user_groups,   &user_senders, &user_totp};
constexpr hedwig_config_schema user_schema{sizeof user_schema, std::size(user_keys), user_keys};

constexpr auto users_key =
    key(HEDWIG_CONFIG_TABLES, "user", "One table for each user.", HEDWIG_CONFIG_RELOADABLE, nullptr, &user_schema);
constexpr auto file_key =
    key(HEDWIG_CONFIG_PATH, "file",
        "File with lines name:hash[:group,group[:sender,sender]]; :totp=SECRET may follow. Read again on reload.",
        HEDWIG_CONFIG_RELOADABLE);
constexpr const hedwig_config_key* keys[] = {&users_key, &file_key};
constexpr hedwig_config_schema schema{sizeof schema, std::size(keys), keys};

constexpr std::size_t secret_max = 4096;

std::string name_of(const hedwig::sdk::config& user) {
  auto name = user.string("username");
  return name.empty() ? user.string("name") : name;
}

class static_users {
public:
  /// What the schema cannot say.
  static void validate(const hedwig::sdk::config& config) {
    if (config.count("user") == 0 && config.string("file").empty())
      throw failure{HEDWIG_E_CONFIG, "nobody could log in: give users or a file", "user"};
    for (std::size_t i = 0; i < config.count("user"); ++i) {
      auto user = config.table("user", i);
      if (user.string("username").empty() == user.string("name").empty())
        throw failure{HEDWIG_E_CONFIG, "user " + std::to_string(i + 1) + " needs a username", "user.username"};
      if (auto fault = stored_password::fault_of(user.string("password")))
        throw failure{HEDWIG_E_CONFIG, "user " + std::to_string(i + 1) + ": " + *fault, "user.password"};
      if (auto totp = user.string("totp"); !totp.empty() && !totp_secret::read(totp))
        throw failure{HEDWIG_E_CONFIG, "user " + std::to_string(i + 1) + ": totp is no secret in base32", "user.totp"};
    }
  }

  static_users(hedwig::sdk::host host, const hedwig::sdk::config& config) : host_{host} { remember(config); }

  void start() { users_.replace(load(listed_, file_)); }

  void reload(const hedwig::sdk::config& config) {
    auto before = std::pair{listed_, file_};
    remember(config);
    try {
      users_.replace(load(listed_, file_));
    } catch (...) {
      std::tie(listed_, file_) = before;
      throw;
    }
  }

  hedwig::sdk::identity verify_password(const hedwig_auth_request& request) {
    auto now = users_.current();
    std::string name{hedwig::sdk::view(request.username)};
    auto secret = hedwig::sdk::view(request.secret);
    // RFC 4616, section 2: no NUL; the host has cut what is longer than any password.
    auto usable = secret.size() <= secret_max && secret.find('\0') == std::string_view::npos;
    const auto* user = now->find(name);
    if (user == nullptr) {
      now->waste_time(name, usable ? secret : std::string_view{});
      throw failure{HEDWIG_E_NOT_FOUND, "no such user"};
    }
    if (!usable || !is_right(name, *user, secret))
      throw failure{HEDWIG_E_DENIED, "wrong password"};
    if (auto other = hedwig::sdk::view(request.authorize_as); !other.empty() && other != name)
      throw failure{HEDWIG_E_DENIED, "may not act for another user"};
    return {.name = name, .groups = user->groups, .senders = user->senders};
  }

  hedwig::sdk::scram_secret fetch_scram(const hedwig_auth_request& request) {
    auto now = users_.current();
    std::string name{hedwig::sdk::view(request.username)};
    const auto* user = now->find(name);
    if (user == nullptr) {
      now->waste_scram_time(name);
      throw failure{HEDWIG_E_NOT_FOUND, "no such user"};
    }
    // The code of an authenticator has no place in SCRAM, and without it nobody is to get in.
    auto secret = user->totp ? std::nullopt : now->scram(name, *user);
    if (!secret)
      throw failure{HEDWIG_E_NOT_FOUND, "only a hash of the password is known"};
    if (auto other = hedwig::sdk::view(request.authorize_as); !other.empty() && other != name)
      throw failure{HEDWIG_E_DENIED, "may not act for another user"};
    secret->who = {.name = name, .groups = user->groups, .senders = user->senders};
    return *std::move(secret);
  }

  /// Of who is proven otherwise, by a certificate.
  hedwig::sdk::identity lookup(const hedwig_auth_request& request) {
    auto now = users_.current();
    std::string name{hedwig::sdk::view(request.username)};
    const auto* user = now->find(name);
    if (user == nullptr)
      throw failure{HEDWIG_E_NOT_FOUND, "no such user"};
    if (auto other = hedwig::sdk::view(request.authorize_as); !other.empty() && other != name)
      throw failure{HEDWIG_E_DENIED, "may not act for another user"};
    return {.name = name, .groups = user->groups, .senders = user->senders};
  }

private:
  /// Takes as long for a right password with a wrong code as for a wrong one.
  bool is_right(const std::string& name, const user& who, std::string_view secret) {
    if (!who.totp)
      return who.password.matches(secret);
    auto [password, code] = split_code(secret);
    auto now = host_.wall() / 1'000'000'000;
    auto right = who.password.matches(password);
    auto step = who.totp->step_of(code, now);
    return right && !password.empty() && step && codes_.use(name, *step, now);
  }

  void remember(const hedwig::sdk::config& config) {
    listed_.clear();
    for (std::size_t i = 0; i < config.count("user"); ++i) {
      auto user = config.table("user", i);
      listed_.push_back({name_of(user), user.string("password"), user.strings("groups"), user.strings("senders"),
                         user.string("totp")});
    }
    file_ = config.string("file");
  }

  std::shared_ptr<const users> load(const std::vector<user_entry>& listed, const std::string& file) const {
    auto made = std::make_shared<users>();
    auto add = [&](user_entry entry, const char* where) {
      auto name = entry.name;
      if (!made->add(std::move(entry)))
        throw failure{HEDWIG_E_CONFIG, "the user " + name + " appears twice", where};
    };
    for (auto& entry : listed)
      add(entry, "user.username");
    if (!file.empty()) {
      auto loaded = read_user_file(file);
      if (loaded.world_readable)
        host_.log(HEDWIG_LOG_WARN, "the user file can be read by everyone: chmod o-r", {{"file", file}});
      for (auto& entry : loaded.users)
        add(std::move(entry), "file");
    }
    if (made->plain() > 0)
      host_.log(HEDWIG_LOG_WARN, "passwords are kept in plain text: use argon2id or bcrypt hashes",
                {{"users", std::to_string(made->plain())}});
    host_.log(HEDWIG_LOG_INFO, "users loaded", {{"count", std::to_string(made->size())}});
    return made;
  }

  hedwig::sdk::host host_;
  std::vector<user_entry> listed_;
  std::string file_;
  hedwig::sdk::reloadable<const users> users_;
  used_codes codes_;
};

constexpr auto provider =
    hedwig::sdk::auth_provider<static_users>::make("static", "Users listed in the configuration or in a file.", &schema,
                                                   HEDWIG_PROVIDER_BLOCKING | HEDWIG_PROVIDER_ISOLATABLE);

} // namespace

HEDWIG_PLUGIN("org.hedwig.auth-static", "1.0.0", "Hedwig", "Apache-2.0", &provider)
