// SPDX-License-Identifier: Apache-2.0
#include "directory.hpp"

#include <algorithm>
#include <utility>

#include "policy.hpp"
#include "scram_text.hpp"
#include "text.hpp"

namespace hedwig::auth_ldap {

namespace {

/// What a client may be called where his name becomes a userPrincipalName, which has no way to escape: the characters
/// that Active Directory forbids in account names, and those that end the name.
bool is_account_name(std::string_view name) {
  return name.find_first_of("\"/\\[]:;|=,+*?<>@ \t") == std::string_view::npos;
}

struct login_parts {
  std::string_view local;
  std::string_view domain;
};
login_parts parts_of(std::string_view login) {
  auto at = login.rfind('@');
  return at == std::string_view::npos ? login_parts{login, {}} : login_parts{login.substr(0, at), login.substr(at + 1)};
}

/// "ada@corp.example" is a userPrincipalName; "ada" and "CORP\ada" are a sAMAccountName. Never one for the other: the
/// part before the @ of a foreign domain is another user.
std::string ad_clause(std::string_view login, std::string_view netbios_domain) {
  auto backslash = login.find('\\');
  if (backslash != std::string_view::npos && !netbios_domain.empty() &&
      same_text(login.substr(0, backslash), netbios_domain))
    login.remove_prefix(backslash + 1);
  const char* attribute = login.contains('@') ? "(userPrincipalName=" : "(sAMAccountName=";
  return attribute + escape_filter(login) + ")";
}

/// No entry has it: the name of it is as long as nothing that people choose.
std::string nobodys_dn(const std::string& base) {
  return "cn=hedwig-asks-for-nobody-7d1f0a6b93c24e58" + (base.empty() ? base : "," + base);
}

std::vector<std::string> wanted_attributes(const settings& from) {
  auto all = from.attributes;
  auto add = [&](const auto& more) { all.insert(all.end(), more.begin(), more.end()); };
  add(from.identity_attributes);
  add(from.sender_attributes);
  for (auto& one : from.rules)
    if (!one.attribute.empty())
      all.push_back(one.attribute);
  if (from.groups == group_source::member_of)
    all.push_back(from.member_of_attribute);
  std::ranges::sort(all);
  auto same = std::ranges::unique(all);
  all.erase(same.begin(), same.end());
  return all;
}

} // namespace

directory::directory(sdk::host host, std::shared_ptr<const settings> from, counters count)
  : host_{host}, from_{from}, servers_{host, from, std::move(count)} {}

sdk::identity directory::verify(std::string_view login, std::string_view password, hedwig_time_ns deadline) {
  return from_->binds_directly() ? bind_directly(login, password, deadline)
                                 : search_and_bind(login, password, deadline);
}

search_request directory::request_for(std::string_view login) const {
  auto [local, domain] = parts_of(login);
  auto whole_text = escape_filter(login);
  auto local_text = escape_filter(local);
  auto domain_text = escape_filter(domain);
  auto ad_text = ad_clause(login, from_->netbios_domain);
  return {.base = from_->base,
          .scope = from_->subtree ? search_request::depth::subtree : search_request::depth::one,
          .filter = fill(from_->user_filter,
                         {{"user", whole_text}, {"local", local_text}, {"domain", domain_text}, {"ad_name", ad_text}}),
          .attributes = wanted_attributes(*from_)};
}

searcher directory::service_searcher(hedwig_time_ns deadline) {
  return [this, deadline](const search_request& what) {
    return servers_.ask(purpose::search, deadline,
                        [&](connection& on) { return on.search(what, servers_.patience(deadline)); });
  };
}

std::optional<entry> directory::find(std::string_view login, hedwig_time_ns deadline) {
  auto request = request_for(login);
  if (!from_->scram_attribute.empty())
    request.attributes.push_back(from_->scram_attribute);
  auto answer = service_searcher(deadline)(request);
  if (answer.more) {
    host_.log(HEDWIG_LOG_INFO,
              "the name of a user fits several entries, so nobody may log in with it: narrow user_filter",
              {{"user", login}, {"filter", request.filter}});
    throw sdk::failure{HEDWIG_E_DENIED, "the name fits several entries"};
  }
  if (answer.entries.empty() || answer.entries.front().dn.empty())
    return std::nullopt;
  return std::move(answer.entries.front());
}

bind_answer directory::bind(const std::string& name, std::string_view password, hedwig_time_ns deadline) {
  return servers_.ask(purpose::bind, deadline,
                      [&](connection& on) { return on.bind(name, password, servers_.patience(deadline)); });
}

sdk::identity directory::search_and_bind(std::string_view login, std::string_view password, hedwig_time_ns deadline) {
  auto user = find(login, deadline);
  if (!user) {
    // As many questions as for a wrong password, so that the time does not tell which names exist.
    static_cast<void>(bind(nobodys_dn(from_->base), password, deadline));
    throw sdk::failure{HEDWIG_E_NOT_FOUND, "no such user"};
  }
  insist(bind(user->dn, password, deadline), login);
  return judge_entry(*user, login, service_searcher(deadline));
}

sdk::identity directory::bind_directly(std::string_view login, std::string_view password, hedwig_time_ns deadline) {
  auto [local, domain] = parts_of(login);
  if (!from_->user_principal.empty() && !is_account_name(login))
    throw sdk::failure{HEDWIG_E_NOT_FOUND, "no such user"};
  auto name = from_->user_dn.empty()
                  ? fill(from_->user_principal, {{"user", login}})
                  : fill(from_->user_dn,
                         {{"user", escape_dn(login)}, {"local", escape_dn(local)}, {"domain", escape_dn(domain)}});
  // With an account of our own the rest is read by that; otherwise by the user himself, on the connection where he is
  // bound.
  search_request self{.base = name, .attributes = wanted_attributes(*from_)};
  if (from_->user_dn.empty()) {
    self = request_for(login);
    self.filter = "(userPrincipalName=" + escape_filter(name) + ")";
  }
  auto missing = [&] {
    return sdk::failure{HEDWIG_E_UNAVAILABLE, "the entry of a user who logged in cannot be read: " + name};
  };
  if (!from_->bind_dn.empty()) {
    insist(bind(name, password, deadline), login);
    auto search = service_searcher(deadline);
    auto found = search(self);
    if (found.entries.size() != 1)
      throw missing();
    return judge_entry(found.entries.front(), login, search);
  }
  return servers_.ask(purpose::bind, deadline, [&](connection& on) {
    insist(on.bind(name, password, servers_.patience(deadline)), login);
    auto search = [&](const search_request& what) { return on.search(what, servers_.patience(deadline)); };
    auto found = search(self);
    if (found.entries.size() != 1)
      throw missing();
    return judge_entry(found.entries.front(), login, search);
  });
}

sdk::identity directory::judge_entry(const entry& user, std::string_view login, const searcher& search) const {
  auto identity = identity_of(*from_, user);
  if (identity.empty())
    throw sdk::failure{HEDWIG_E_UNAVAILABLE,
                       "the entry " + user.dn + " has none of identity_attributes: name one that every user has"};
  auto groups = groups_of(*from_, search, user, login, identity);
  try {
    return judge(*from_, user, groups, login, std::move(identity));
  } catch (const sdk::failure& why) {
    host_.log(HEDWIG_LOG_INFO, "a user with the right password may not log in here",
              {{"user", login}, {"reason", why.what()}});
    throw;
  }
}

void directory::insist(const bind_answer& answer, std::string_view login) const {
  switch (answer.verdict) {
  case bind_verdict::right:
    if (answer.grace_logins_left >= 0)
      host_.log(HEDWIG_LOG_WARN, "a user's password has expired; the directory lets him in a few times more",
                {{"user", login}, {"left", std::to_string(answer.grace_logins_left)}});
    else if (answer.expires_in >= 0)
      host_.log(HEDWIG_LOG_INFO, "a user's password expires soon",
                {{"user", login}, {"seconds", std::to_string(answer.expires_in)}});
    return;
  case bind_verdict::impossible:
    throw sdk::failure{HEDWIG_E_UNAVAILABLE, "the directory takes no simple bind: " + answer.text};
  case bind_verdict::wrong_password:
    break;
  default:
    host_.log(HEDWIG_LOG_INFO, "the directory refuses a user for another reason than a wrong password",
              {{"user", login}, {"reason", to_string_view(answer.verdict)}, {"server_says", answer.text}});
  }
  throw sdk::failure{HEDWIG_E_DENIED, std::string{to_string_view(answer.verdict)}};
}

sdk::scram_secret directory::fetch_scram(std::string_view login, hedwig_time_ns deadline) {
  auto user = find(login, deadline);
  if (!user)
    throw sdk::failure{HEDWIG_E_NOT_FOUND, "no such user"};
  for (auto& value : user->values(from_->scram_attribute))
    if (auto secret = logins::read_scram(value)) {
      secret->who = judge_entry(*user, login, service_searcher(deadline));
      return std::move(*secret);
    }
  throw sdk::failure{HEDWIG_E_NOT_FOUND, "the user has no SCRAM-SHA-256 secret"};
}

} // namespace hedwig::auth_ldap
