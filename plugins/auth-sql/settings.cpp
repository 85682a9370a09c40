// SPDX-License-Identifier: Apache-2.0
// A table of keys, exempt from the size rules, and the checks across them.
#include "settings.hpp"

#include <algorithm>
#include <iterator>
#include <stdexcept>

#include "login_text.hpp"

namespace hedwig::auth_sql {

namespace {

using sdk::failure;
using sdk::key;
using sdk::key_in_range;
using sdk::key_of_choices;

constexpr std::uint32_t again = HEDWIG_CONFIG_RELOADABLE;
constexpr std::int64_t millisecond = 1'000'000;
constexpr std::int64_t second = 1000 * millisecond;
constexpr std::int64_t minute = 60 * second;
constexpr std::int64_t day = 1440 * minute;

constexpr const char* connector_names[] = {"sqlite", "postgresql", nullptr};

constexpr hedwig_config_key key_list[] = {
    key_of_choices("connector", "The kind of database.", HEDWIG_CONFIG_REQUIRED | again, nullptr, connector_names),
    key(HEDWIG_CONFIG_SECRET, "connection",
        "\"postgresql\": words of the form name=value with one space between them, as libpq knows them, such as "
        "\"host=db.example.com dbname=mail user=hedwig sslmode=verify-full\". \"sqlite\": the file.",
        HEDWIG_CONFIG_REQUIRED | again),
    key(HEDWIG_CONFIG_SECRET, "password", "\"postgresql\": the password, where it does not stand in connection.",
        again),
    key(HEDWIG_CONFIG_STRING, "query",
        "Finds the user: {user} is the whole name the client gave, {local} and {domain} what stands before and behind "
        "its last @. Its columns have a meaning by their names: password, scram, identity, enabled, connections, "
        "message_size, recipients, messages_per_hour, recipients_per_day.",
        HEDWIG_CONFIG_REQUIRED | again),
    key(HEDWIG_CONFIG_STRING, "groups_query",
        "Gives the groups of the user, one a row. Besides {user}, {local}, {domain} and {identity} it may name each "
        "column "
        "of query, such as {id}.",
        again),
    key(HEDWIG_CONFIG_STRING, "senders_query",
        "Gives the addresses the user may send from, one a row: \"a@b.example\", \"@b.example\", \"@*.b.example\", or "
        "\"*\" for any. Without it, any.",
        again),
    key(HEDWIG_CONFIG_STRINGS, "attributes", "Columns of query that are given to the host with the user.", again),
    key(HEDWIG_CONFIG_BOOLEAN, "plain_passwords",
        "Takes what is no hash for the password itself; otherwise nobody logs in with it.", again, "false"),
    key_in_range(HEDWIG_CONFIG_INTEGER, "rows_max",
                 "A user with more groups or more senders is refused for the time being.", again, "1000", 1, 10'000),
    key_in_range(HEDWIG_CONFIG_INTEGER, "connections_max", "Connections to the database; give as many `workers`.",
                 again, "8", 1, 1000),
    key_in_range(HEDWIG_CONFIG_DURATION, "connect_timeout",
                 "\"postgresql\": how long a connection may take to be made.", again, "5s", 2 * second, 5 * minute),
    key_in_range(HEDWIG_CONFIG_DURATION, "statement_timeout", "How long one query may take.", again, "5s",
                 100 * millisecond, 5 * minute),
    key_in_range(HEDWIG_CONFIG_DURATION, "retry_delay", "How long a database that cannot be reached is left alone.",
                 again, "2s", 100 * millisecond, 10 * minute),
    key_in_range(HEDWIG_CONFIG_DURATION, "idle_timeout", "An idle connection is not used again after this.", again,
                 "5m", second, day),
    key_in_range(
        HEDWIG_CONFIG_DURATION, "cache_time",
        "How long a right password is known without asking; a change or a lock is noticed after this. 0s: never.",
        again, "2m", 0, day),
    key_in_range(
        HEDWIG_CONFIG_DURATION, "negative_cache_time",
        "How long the same wrong password, or the same password for a name that nobody has, is refused without "
        "asking. 0s: never.",
        again, "30s", 0, day),
    key_in_range(HEDWIG_CONFIG_INTEGER, "cache_entries", "Users in the cache, and as many names that nobody has.",
                 again, "10000", 1, 10'000'000),
};

template <std::size_t Count>
struct addresses_of {
  constexpr explicit addresses_of(const hedwig_config_key (&table)[Count]) {
    for (std::size_t i = 0; i < Count; ++i)
      all[i] = &table[i];
  }
  const hedwig_config_key* all[Count];
};
constexpr addresses_of keys{key_list};

constexpr const char* login_names[] = {"user", "local", "domain"};

query_text read_query(const sdk::config& config, const char* name) {
  if (!config.is_set(name))
    return {};
  try {
    query_text made{config.string(name)};
    if (made.empty())
      throw std::invalid_argument{"is empty"};
    return made;
  } catch (const std::invalid_argument& e) {
    throw failure{HEDWIG_E_CONFIG, std::string{name} + " " + e.what(), name};
  }
}

void check_user_query(const query_text& query) {
  bool asks_for_user = false;
  for (auto& name : query.parameters()) {
    if (std::ranges::find(login_names, name) == std::end(login_names))
      throw failure{HEDWIG_E_CONFIG, "query names {" + name + "}: it may use {user}, {local} and {domain}", "query"};
    asks_for_user = asks_for_user || name != "domain";
  }
  if (!asks_for_user)
    throw failure{HEDWIG_E_CONFIG, "query has neither {user} nor {local}: every name would find the same user",
                  "query"};
}

bool has_word(std::string_view words, std::string_view name) {
  return (" " + std::string{words}).find(" " + std::string{name} + "=") != std::string::npos;
}

std::string target_of_postgresql(const sdk::config& config, const std::string& password) {
  auto words = config.string("connection");
  auto refuse = [](const char* where, const char* why) { throw failure{HEDWIG_E_CONFIG, why, where}; };
  if (words.find("  ") != std::string::npos || words.find_first_of("'\t\r\n") != std::string::npos ||
      !words.contains('='))
    refuse("connection", "must be words of the form name=value with one space between them, without quotes");
  if (password.find_first_of(" \t\r\n") != std::string::npos)
    refuse("password", "holds white space, which Poco's connector cannot hand on to the server");
  if (!password.empty() && has_word(words, "password"))
    refuse("password", "there is one in connection, too: keep one of them");
  auto add = [&](std::string_view name, const std::string& value) {
    if (!has_word(words, name))
      words.append(" ").append(name).append("=").append(value);
  };
  add("application_name", "hedwig");
  add("connect_timeout", std::to_string((config.integer("connect_timeout") + second - 1) / second));
  // A server that vanishes without a word is noticed within a minute.
  add("keepalives_idle", "20");
  add("keepalives_interval", "10");
  add("keepalives_count", "4");
  add("tcp_user_timeout", "60000");
  if (!password.empty())
    add("password", sql::escaped_word(password));
  return words;
}

/// SQLite would make a file that is not there, and write into one that is. What means something in a URI is escaped.
std::string target_of_sqlite(const std::string& path) {
  if (!path.starts_with('/'))
    throw failure{HEDWIG_E_CONFIG, "connection must be the path of the file, from / on", "connection"};
  std::string out{"file:"};
  for (char c : path)
    out += c == '%'   ? std::string{"%25"}
           : c == '?' ? std::string{"%3f"}
           : c == '#' ? std::string{"%23"}
                      : std::string{c};
  return out + "?mode=ro";
}

} // namespace

constinit const hedwig_config_schema schema{sizeof schema, std::size(key_list), keys.all};

settings read_settings(const sdk::config& config) {
  settings out;
  out.which = config.string("connector") == "postgresql" ? sql::engine::postgresql : sql::engine::sqlite;
  auto password = config.is_set("password") ? config.string("password") : std::string{};
  if (out.which == sql::engine::sqlite && !password.empty())
    throw failure{HEDWIG_E_CONFIG, "password goes with connector = \"postgresql\" only", "password"};
  out.target = out.which == sql::engine::sqlite ? target_of_sqlite(config.string("connection"))
                                                : target_of_postgresql(config, password);
  out.user = read_query(config, "query");
  check_user_query(out.user);
  out.groups = read_query(config, "groups_query");
  out.senders = read_query(config, "senders_query");
  for (auto& one : config.strings("attributes"))
    out.attributes.push_back(logins::lower(one));
  out.plain_passwords = config.boolean("plain_passwords");
  out.rows_max = static_cast<std::size_t>(config.integer("rows_max"));
  out.connections_max = static_cast<std::size_t>(config.integer("connections_max"));
  auto duration = [&](const char* name) { return std::chrono::nanoseconds{config.integer(name)}; };
  out.statement_timeout = duration("statement_timeout");
  out.retry_delay = duration("retry_delay");
  out.idle_timeout = duration("idle_timeout");
  out.cache_time = duration("cache_time");
  out.negative_cache_time = duration("negative_cache_time");
  out.cache_entries = static_cast<std::size_t>(config.integer("cache_entries"));
  return out;
}

} // namespace hedwig::auth_sql
