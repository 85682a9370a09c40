// SPDX-License-Identifier: Apache-2.0
// A table of keys, exempt from the size rules, and the checks across them.
#include "settings.hpp"

#include <iterator>

namespace hedwig::auth_oauth {

namespace {

using sdk::failure;
using sdk::key;
using sdk::key_in_range;

constexpr std::uint32_t again = HEDWIG_CONFIG_RELOADABLE;
constexpr std::int64_t millisecond = 1'000'000;
constexpr std::int64_t second = 1000 * millisecond;
constexpr std::int64_t minute = 60 * second;
constexpr std::int64_t day = 1440 * minute;

constexpr hedwig_config_key key_list[] = {
    key(HEDWIG_CONFIG_PATH, "jwks_file", "JSON Web Key Set that tokens are signed with, in a file.", again),
    key(HEDWIG_CONFIG_STRING, "jwks_url",
        "The same from a server: \"https://id.example.com/.well-known/jwks.json\". Give one of jwks_file, jwks_url and "
        "introspection_url.",
        again),
    key(HEDWIG_CONFIG_STRING, "introspection_url",
        "Asks the server about each token (RFC 7662) instead of looking at its signature.", again),
    key(HEDWIG_CONFIG_STRING, "client_id", "Our name at introspection_url.", again),
    key(HEDWIG_CONFIG_SECRET, "client_secret", "Our secret there.", again),

    key(HEDWIG_CONFIG_STRING, "issuer", "Who must have made the token (iss), letter by letter. Required with keys.",
        again),
    key(HEDWIG_CONFIG_STRINGS, "audience", "Whom the token must be for: one of these in aud. Required with keys.",
        again),
    key(HEDWIG_CONFIG_STRINGS, "required_scopes", "All of these must be in the token's scope (or scp).", again),
    key(HEDWIG_CONFIG_STRINGS, "algorithms",
        "Algorithms of signatures that are taken: some of RS256, PS256, ES256, EdDSA. Default: all of them.", again),
    key_in_range(HEDWIG_CONFIG_DURATION, "leeway", "How far the clocks of the issuer and this machine may differ.",
                 again, "30s", 0, 5 * minute),

    key(HEDWIG_CONFIG_STRING, "user_claim", "The claim that is the user's identity in policies and logs.", again,
        "sub"),
    key(HEDWIG_CONFIG_STRINGS, "login_claims",
        "Where a client names a user beside the token, one of these claims must hold that name, in any case. Default: "
        "user_claim, email, preferred_username and upn.",
        again),
    key(HEDWIG_CONFIG_STRING, "groups_claim", "A claim that lists the user's groups.", again),
    key(HEDWIG_CONFIG_STRINGS, "sender_claims",
        "The addresses in these claims are senders that the user may use, such as [\"email\"]. One that email_verified "
        "denies does not count.",
        again),
    key(HEDWIG_CONFIG_STRINGS, "senders",
        "Senders that every user may use: \"{identity}\", \"{local}@b.example\", \"@b.example\", \"@*.b.example\", or "
        "\"*\" for any.",
        again),

    key(HEDWIG_CONFIG_PATH, "ca_file", "Certificates of the authorities that are trusted, PEM.", again,
        "/etc/ssl/certs/ca-certificates.crt"),
    key_in_range(HEDWIG_CONFIG_DURATION, "connect_timeout",
                 "How long the server may take to accept a connection, TLS included.", again, "3s", 100 * millisecond,
                 5 * minute),
    key_in_range(HEDWIG_CONFIG_DURATION, "timeout", "How long one request may take.", again, "5s", 100 * millisecond,
                 5 * minute),
    key_in_range(HEDWIG_CONFIG_DURATION, "refresh_interval", "How often keys are read anew.", again, "1h", second,
                 7 * day),
    key_in_range(HEDWIG_CONFIG_DURATION, "refresh_pause",
                 "The least time between two reads of the keys that tokens of unknown keys bring about, and between "
                 "attempts while the server is down.",
                 again, "30s", 10 * millisecond, day),
    key_in_range(HEDWIG_CONFIG_DURATION, "cache_time",
                 "How long a good token is known without looking, never beyond its end; a revocation is noticed after "
                 "this. 0s: never.",
                 again, "2m", 0, day),
    key_in_range(HEDWIG_CONFIG_INTEGER, "cache_entries", "Tokens in the cache.", again, "10000", 1, 10'000'000),
};

struct oauth_key_pointers {
  constexpr oauth_key_pointers() {
    for (std::size_t i = 0; i < std::size(key_list); ++i)
      all[i] = &key_list[i];
  }
  const hedwig_config_key* all[std::size(key_list)]{};
};
constexpr oauth_key_pointers key_pointers;

failure wrong(const char* where, std::string why) { return failure{HEDWIG_E_CONFIG, std::move(why), where}; }

void check_url(const char* where, const std::string& url) {
  auto host = std::string_view{url}.substr(std::min<std::size_t>(8, url.size()));
  if (!url.empty() && (!url.starts_with("https://") || host.empty() || host.front() == '/' ||
                       url.find_first_of(" \t\r\n#@") != std::string::npos))
    throw wrong(where, "write a URL such as \"https://id.example.com/path\", without user or fragment");
}

void read_source(settings& to, const sdk::config& from) {
  to.jwks_file = from.string("jwks_file");
  to.jwks_url = from.string("jwks_url");
  to.introspection_url = from.string("introspection_url");
  to.client_id = from.string("client_id");
  to.client_secret = from.string("client_secret");
  if (!to.jwks_file.empty() + !to.jwks_url.empty() + !to.introspection_url.empty() != 1)
    throw wrong("jwks_url",
                "give one of jwks_file, jwks_url and introspection_url: where is to be asked about tokens?");
  check_url("jwks_url", to.jwks_url);
  check_url("introspection_url", to.introspection_url);
  if (to.introspects() && (to.client_id.empty() || to.client_secret.empty()))
    throw wrong("client_id", "introspection needs client_id and client_secret");
}

void read_checks(settings& to, const sdk::config& from) {
  to.issuer = from.string("issuer");
  to.audience = from.strings("audience");
  to.required_scopes = from.strings("required_scopes");
  to.leeway = from.duration("leeway");
  for (auto& name : from.strings("algorithms")) {
    auto known = algorithm_of(name);
    if (!known)
      throw wrong("algorithms", name + " is not taken: write some of RS256, PS256, ES256, EdDSA");
    to.algorithms.push_back(*known);
  }
  if (to.algorithms.empty())
    to.algorithms = {algorithm::rs256, algorithm::ps256, algorithm::es256, algorithm::eddsa};
  // Without them every token that the issuer makes for anybody would open this relay.
  if (!to.introspects() && to.issuer.empty())
    throw wrong("issuer", "say who must have made the tokens");
  if (!to.introspects() && to.audience.empty())
    throw wrong("audience", "say whom the tokens must be for, or those for any other service would do");
}

void read_users(settings& to, const sdk::config& from) {
  to.user_claim = from.string("user_claim");
  to.login_claims = from.strings("login_claims");
  to.groups_claim = from.string("groups_claim");
  to.sender_claims = from.strings("sender_claims");
  to.senders = from.strings("senders");
  if (to.user_claim.empty())
    throw wrong("user_claim", "name the claim that says who the user is, such as \"sub\" or \"email\"");
  if (to.login_claims.empty())
    to.login_claims = {to.user_claim, "email", "preferred_username", "upn"};
  for (auto& pattern : to.senders)
    for (auto at = pattern.find('{'); at != std::string::npos; at = pattern.find('{', at + 1)) {
      auto rest = std::string_view{pattern}.substr(at);
      if (!rest.starts_with("{identity}") && !rest.starts_with("{local}"))
        throw wrong("senders", "in " + pattern + " only {identity} and {local} mean something");
    }
}

} // namespace

const hedwig_config_schema schema{sizeof schema, std::size(key_list), key_pointers.all};

settings read_settings(const sdk::config& config) {
  settings made;
  read_source(made, config);
  read_checks(made, config);
  read_users(made, config);
  made.ca_file = config.string("ca_file");
  made.connect_timeout = config.duration("connect_timeout");
  made.timeout = config.duration("timeout");
  made.refresh_interval = config.duration("refresh_interval");
  made.refresh_pause = config.duration("refresh_pause");
  made.cache_time = config.duration("cache_time");
  made.cache_entries = static_cast<std::size_t>(config.integer("cache_entries"));
  return made;
}

} // namespace hedwig::auth_oauth
