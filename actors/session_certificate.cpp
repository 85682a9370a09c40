// SPDX-License-Identifier: Apache-2.0
// What a session makes of its client's certificate: AUTH EXTERNAL (RFC 4422, appendix A).
#include "actors/session.hpp"

#include "runtime/base/ascii.hpp"

#include <algorithm>

namespace hedwig {

struct session::certificate_login {
  const config::tls_client_settings* entry = nullptr; ///< of the configuration; null: a provider knows more
  std::vector<std::string> users;                     ///< not empty; the first is meant where the client names none
};

namespace {

bool is_named_in(const net::tls_info& info, std::string_view name) {
  return ascii::equal_ignoring_case(info.peer_common_name, name) ||
         std::ranges::any_of(info.peer_names, [&](auto& one) { return ascii::equal_ignoring_case(one, name); });
}

/// What a provider may know the client by.
std::vector<std::string> user_names_in(const net::tls_info& info) {
  std::vector<std::string> out;
  std::ranges::copy_if(info.peer_names, std::back_inserter(out), [](auto& one) { return one.contains('@'); });
  if (out.empty() && !info.peer_common_name.empty())
    out.push_back(info.peer_common_name);
  return out;
}

} // namespace

smtp::tls_facts session::tls_facts_of(const net::tls_info& info) const {
  return {.version = info.version,
          .cipher = info.cipher,
          .server_name = info.server_name,
          .external = !spoken_for_ && login_of(&info).has_value()}; // else it would be the front end's
}

std::optional<session::certificate_login> session::login_of(const net::tls_info* info) const {
  auto& tls = listener_settings().tls;
  if (info == nullptr || !info->peer_verified || !tls)
    return std::nullopt;
  for (auto& one : tls->clients)
    if (!one.fingerprint.empty() && one.fingerprint == info->peer_fingerprint)
      return certificate_login{&one, one.users};
  // A session that is resumed was verified when it began, perhaps long ago.
  if (tls->client_ca.empty() || info->peer_expires <= relay().time.wall())
    return std::nullopt;
  for (auto& one : tls->clients)
    if (!one.name.empty() && is_named_in(*info, one.name))
      return certificate_login{&one, one.users};
  auto names = user_names_in(*info);
  auto& providers = relay().plugins.auth;
  if (names.empty() || std::ranges::none_of(providers, [](auto& one) { return one->looks_up(); }))
    return std::nullopt;
  return certificate_login{nullptr, std::move(names)};
}

bool session::log_in_by_certificate(smtp::ask::authenticate& question) {
  auto mechanism = question.mechanism; // copies: an answer ends the question
  auto wanted = question.who.authorize_as;
  auto login = login_of(stream_->tls());
  if (!login)
    return deny(mechanism, wanted, "the certificate says no longer who the client is");
  auto own = wanted.empty() ? login->users.begin() : std::ranges::find(login->users, wanted);
  if (login->entry == nullptr) {
    // A provider says whether the client may act for somebody whom the certificate does not name.
    question.who.username = own == login->users.end() ? login->users.front() : *own;
    if (own != login->users.end())
      question.who.authorize_as.clear();
    ask_providers(question);
    return false;
  }
  if (own == login->users.end())
    return deny(mechanism, wanted, "the certificate is not good for this user");
  authenticated outcome{.status = HEDWIG_OK, .identity = *own, .senders = login->entry->senders, .limits = {}};
  relay().counts.auth(mechanism, "success").add();
  relay().logins.succeeded(counted_address(), outcome.identity);
  log_in(outcome);
  return !entering_;
}

} // namespace hedwig
