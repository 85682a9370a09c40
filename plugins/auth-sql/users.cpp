// SPDX-License-Identifier: Apache-2.0
#include "users.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "login_text.hpp"
#include "scram_text.hpp"

namespace hedwig::auth_sql {

namespace {

using logins::stored_password;
using sdk::failure;

/// What `hedwig hash-password` would make of something; nobody knows of what.
constexpr const char* nobodys_hash =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZSBzYWx0IG9mIG91cg$mP6TqGmXh5aXqkV1gVvQ1yPpC0cJ0s0b4cXwq0kqT5E";

constexpr std::string_view known_columns[] = {"password",          "scram",        "identity",   "enabled",
                                              "connections",       "message_size", "recipients", "messages_per_hour",
                                              "recipients_per_day"};

std::pair<std::string_view, std::string_view> parts_of(std::string_view login) {
  auto at = login.rfind('@');
  return at == std::string_view::npos ? std::pair{login, std::string_view{}}
                                      : std::pair{login.substr(0, at), login.substr(at + 1)};
}

/// Without the spaces that a database fills a column of type CHAR(n) up with.
std::string_view unpadded(std::string_view text) {
  auto last = text.find_last_not_of(' ');
  return last == text.npos ? std::string_view{} : text.substr(0, last + 1);
}

template <class Number>
Number number_in(std::string_view column, std::string_view text) {
  Number value = 0;
  text = unpadded(text);
  if (text.empty())
    return 0;
  auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc{} || end != text.data() + text.size())
    throw failure{HEDWIG_E_UNAVAILABLE,
                  "query gives a user's " + std::string{column} + " that is no whole number from 0 on"};
  return value;
}

} // namespace

users::users(sdk::host host, std::shared_ptr<const settings> from, counters count)
  : host_{host}, from_{from}, pool_{host, from, std::move(count)}, sample_{std::make_shared<const stored_password>(
                                                                       nobodys_hash)} {}

const std::string* users::row::find(std::string_view column) const {
  auto found = std::ranges::find(columns_, column);
  return found == columns_.end() ? nullptr : &values_[static_cast<std::size_t>(found - columns_.begin())];
}

std::string_view users::row::text(std::string_view column) const {
  const auto* found = find(column);
  return found == nullptr ? std::string_view{} : std::string_view{*found};
}

void users::waste_time(std::string_view password) const {
  std::shared_ptr<const stored_password> sample;
  {
    std::lock_guard lock{mutex_};
    sample = sample_;
  }
  static_cast<void>(sample->matches(password));
}

void users::check_columns(const std::vector<std::string>& columns) {
  auto has = [&](std::string_view name) { return std::ranges::find(columns, name) != columns.end(); };
  if (!has("password") && !has("scram"))
    throw failure{HEDWIG_E_CONFIG,
                  "query gives no column called password, and none called scram: write ... AS password", "query"};
  for (auto& one : from_->attributes)
    if (!has(one))
      throw failure{HEDWIG_E_CONFIG, "query gives no column called " + one, "attributes"};
  for (auto* list : {&from_->groups, &from_->senders})
    for (auto& name : list->parameters())
      if (name != "user" && name != "local" && name != "domain" && name != "identity" && !has(name))
        throw failure{HEDWIG_E_CONFIG, "there is no {" + name + "}: query gives no column of that name",
                      list == &from_->groups ? "groups_query" : "senders_query"};
  {
    std::lock_guard lock{mutex_};
    if (std::exchange(columns_told_, true))
      return;
  }
  for (auto& one : columns) {
    auto used = [&](const query_text& by) { return std::ranges::find(by.parameters(), one) != by.parameters().end(); };
    if (std::ranges::find(known_columns, one) == std::end(known_columns) && !used(from_->groups) &&
        !used(from_->senders) && std::ranges::find(from_->attributes, one) == from_->attributes.end())
      host_.log(HEDWIG_LOG_WARN, "a column of query means nothing: is its name right?", {{"column", one}});
  }
}

std::optional<users::row> users::find(std::string_view login, hedwig_time_ns deadline) {
  auto [local, domain] = parts_of(login);
  std::vector<std::string> values;
  for (auto& name : from_->user.parameters())
    values.emplace_back(name == "user" ? login : name == "local" ? local : domain);
  auto got = pool_.ask(from_->user, "query", 2, values, deadline);
  check_columns(got.columns);
  if (got.rows.size() > 1) {
    host_.log(HEDWIG_LOG_INFO, "the name of a user fits several rows, so nobody may log in with it: narrow query",
              {{"user", login}});
    throw failure{HEDWIG_E_DENIED, "the name fits several rows"};
  }
  if (got.rows.empty())
    return std::nullopt;
  return row{got.columns, std::move(got.rows.front())};
}

bool users::matches(const row& user, std::string_view password) {
  std::string hash{user.text(unpadded(user.text("password")).empty() ? "scram" : "password")};
  if (hash.starts_with('$') || logins::is_scram_text(hash))
    hash = unpadded(hash); // a password in clear may end in spaces
  if (hash.empty()) {
    waste_time(password);
    return false;
  }
  if (auto fault = stored_password::fault_of(hash))
    throw failure{HEDWIG_E_UNAVAILABLE, "query gives a password that cannot be used: " + *fault};
  auto stored = std::make_shared<const stored_password>(std::move(hash));
  if (stored->is_plain() && !from_->plain_passwords)
    throw failure{HEDWIG_E_UNAVAILABLE,
                  "query gives a password that is no hash: store argon2id or bcrypt, or set plain_passwords"};
  {
    std::lock_guard lock{mutex_};
    sample_ = stored;
  }
  return stored->matches(password);
}

/// Asked after the password, so that nobody learns without it that there is such a user.
void users::check_enabled(const row& user) const {
  const auto* enabled = user.find("enabled");
  if (enabled == nullptr)
    return;
  auto word = logins::lower(unpadded(*enabled));
  for (auto* yes : {"1", "t", "true", "y", "yes", "on"})
    if (word == yes)
      return;
  throw failure{HEDWIG_E_DENIED, "the user is not enabled"};
}

std::vector<std::string> users::list_of(const query_text& what, const char* key, const row& user,
                                        std::string_view login, std::string_view identity, hedwig_time_ns deadline) {
  if (what.empty())
    return {};
  auto [local, domain] = parts_of(login);
  std::vector<std::string> values;
  for (auto& name : what.parameters())
    values.emplace_back(name == "user"       ? login
                        : name == "local"    ? local
                        : name == "domain"   ? domain
                        : name == "identity" ? identity
                                             : user.text(name));
  auto got = pool_.ask(what, key, from_->rows_max + 1, values, deadline);
  if (got.rows.size() > from_->rows_max)
    throw failure{HEDWIG_E_UNAVAILABLE, std::string{key} + " gives a user more rows than rows_max"};
  std::vector<std::string> out;
  for (auto& one : got.rows)
    if (auto value = unpadded(one.front()); !value.empty())
      out.emplace_back(value);
  return out;
}

sdk::identity users::identity_of(const row& user, std::string_view login, hedwig_time_ns deadline) {
  // A database may compare names in any case: those are one user.
  auto given = unpadded(user.text("identity"));
  auto name = given.empty() ? logins::lower(login) : std::string{given};
  if (!logins::is_name(name))
    throw failure{HEDWIG_E_UNAVAILABLE,
                  "query gives an identity that is no name: over 255 octets, or with control signs"};
  sdk::identity who{.name = name};
  who.groups = list_of(from_->groups, "groups_query", user, login, name, deadline);
  who.senders = list_of(from_->senders, "senders_query", user, login, name, deadline);
  for (auto& one : who.senders)
    one = logins::lower(one);
  if (std::ranges::find(who.senders, "*") != who.senders.end())
    who.senders.clear();
  else if (!from_->senders.empty() && who.senders.empty())
    who.senders.emplace_back(); // none at all: an empty list would mean any
  for (auto& one : from_->attributes)
    who.attributes.emplace_back(one, unpadded(user.text(one)));
  auto number = [&]<class Number>(std::string_view column, Number& to) {
    to = number_in<Number>(column, user.text(column));
  };
  hedwig_auth_limits limits{};
  limits.struct_size = sizeof limits;
  number("connections", limits.connections);
  number("message_size", limits.message_size);
  number("recipients", limits.recipients_per_message);
  number("messages_per_hour", limits.messages_per_hour);
  number("recipients_per_day", limits.recipients_per_day);
  who.limits = limits;
  return who;
}

sdk::identity users::verify(std::string_view login, std::string_view password, hedwig_time_ns deadline) {
  auto user = find(login, deadline);
  if (!user) {
    waste_time(password);
    throw failure{HEDWIG_E_NOT_FOUND, "no such user"};
  }
  if (!matches(*user, password))
    throw failure{HEDWIG_E_DENIED, "wrong password"};
  check_enabled(*user);
  return identity_of(*user, login, deadline);
}

sdk::scram_secret users::fetch_scram(std::string_view login, hedwig_time_ns deadline) {
  auto user = find(login, deadline);
  if (!user)
    throw failure{HEDWIG_E_NOT_FOUND, "no such user"};
  auto text = unpadded(user->text("scram"));
  if (text.empty() && logins::is_scram_text(user->text("password")))
    text = unpadded(user->text("password"));
  if (text.empty())
    throw failure{HEDWIG_E_NOT_FOUND, "the user has no SCRAM-SHA-256 secret"};
  auto secret = logins::read_scram(text);
  if (!secret)
    throw failure{HEDWIG_E_UNAVAILABLE,
                  "query gives a scram that is not of the form SCRAM-SHA-256$4096:salt$stored-key:server-key"};
  check_enabled(*user);
  secret->who = identity_of(*user, login, deadline);
  return std::move(*secret);
}

void users::try_queries(hedwig_time_ns deadline) {
  static_cast<void>(find("hedwig.nobody", deadline));
  if (!from_->groups.empty())
    pool_.check(from_->groups, "groups_query", deadline);
  if (!from_->senders.empty())
    pool_.check(from_->senders, "senders_query", deadline);
}

} // namespace hedwig::auth_sql
