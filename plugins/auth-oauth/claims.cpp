// SPDX-License-Identifier: Apache-2.0
#include "claims.hpp"

#include <algorithm>
#include <limits>
#include <optional>

#include "login_text.hpp"

namespace hedwig::auth_oauth {

namespace {

using logins::is_name;
using logins::lower;
using logins::same_text;

constexpr auto forever = std::numeric_limits<hedwig_time_ns>::max();
constexpr std::size_t claim_values_max = 1000;

sdk::failure denied(std::string why) { return sdk::failure{HEDWIG_E_DENIED, std::move(why)}; }

/// A NumericDate (RFC 7519 section 2) in nanoseconds; nothing when the claim is not there.
std::optional<hedwig_time_ns> date(const json_object& claims, const char* name) {
  constexpr double seconds_max = 9'000'000'000; // of what fits into 64 bits of nanoseconds
  if (!claims.has(name))
    return std::nullopt;
  auto seconds = claims.number(name);
  if (!seconds || *seconds < 0)
    throw denied(std::string{name} + " is no date");
  return static_cast<hedwig_time_ns>(std::min(*seconds, seconds_max) * 1e9);
}

/// Until when; throws outside of its time.
hedwig_time_ns check_time(const settings& from, const json_object& claims, hedwig_time_ns now) {
  auto leeway = from.leeway.count();
  auto end = date(claims, "exp");
  if (!end && !from.introspects())
    throw denied("it has no end (exp)");
  if (end && now >= *end + leeway)
    throw denied("it has expired");
  if (auto begin = date(claims, "nbf"); begin && now + leeway < *begin)
    throw denied("it is not valid yet (nbf)");
  return end ? *end : forever;
}

bool any_of(const std::vector<std::string>& wanted, const std::vector<std::string>& there) {
  return std::ranges::any_of(wanted, [&](auto& one) { return std::ranges::find(there, one) != there.end(); });
}

/// "a b" of RFC 8693 and RFC 7662, or a list; scp is what some issuers call it.
std::vector<std::string> scopes_of(const json_object& claims) {
  std::vector<std::string> out;
  for (auto* name : {"scope", "scp"})
    for (auto& text : claims.texts(name)) {
      std::string_view rest{text};
      while (!rest.empty()) {
        auto end = std::min(rest.find(' '), rest.size());
        if (end > 0)
          out.emplace_back(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
      }
    }
  return out;
}

void check_purpose(const settings& from, const json_object& claims) {
  if (!from.issuer.empty() && claims.text("iss") != from.issuer)
    throw denied("its issuer (iss) is another one");
  if (!from.audience.empty() && !any_of(from.audience, claims.texts("aud")))
    throw denied("it is for another audience (aud)");
  auto scopes = scopes_of(claims);
  for (auto& scope : from.required_scopes)
    if (std::ranges::find(scopes, scope) == scopes.end())
      throw denied("it lacks the scope " + scope);
}

std::string identity_in(const settings& from, const json_object& claims, std::string_view login) {
  auto identity = claims.text(from.user_claim);
  if (!identity || !is_name(*identity))
    throw denied("its claim " + from.user_claim + " is no user name");
  auto is_meant = [&](const std::string& claim) {
    auto value = claims.text(claim);
    return value && same_text(*value, login);
  };
  if (!login.empty() && !same_text(*identity, login) && std::ranges::none_of(from.login_claims, is_meant))
    throw denied("it is for another user than the client says");
  return std::move(*identity);
}

/// An address and not a pattern, whatever the issuer writes.
bool is_plain_address(std::string_view text) {
  auto at = text.rfind('@');
  return is_name(text) && at != std::string_view::npos && at > 0 && at + 1 < text.size() && !text.contains('*');
}

/// Nothing where a name with a sign that means something in a pattern would stand for more addresses than one.
std::optional<std::string> fill_sender(std::string pattern, std::string_view identity) {
  auto replace = [&](std::string_view what, std::string_view with) {
    for (auto at = pattern.find(what); at != std::string::npos; at = pattern.find(what, at + with.size()))
      pattern.replace(at, what.size(), with);
  };
  auto local = identity.substr(0, identity.rfind('@'));
  auto uses = [&](std::string_view what) { return pattern.find(what) != std::string::npos; };
  if ((uses("{identity}") && !is_plain_address(identity)) ||
      (uses("{local}") && (local.empty() || local.find_first_of("*@{") != std::string_view::npos)))
    return std::nullopt;
  replace("{local}", local);
  replace("{identity}", identity);
  return lower(pattern);
}

std::vector<std::string> senders_of(const settings& from, const json_object& claims, std::string_view identity) {
  std::vector<std::string> all;
  for (auto& claim : from.sender_claims) {
    if (claim == "email" && claims.boolean("email_verified") == false)
      continue;
    for (auto& value : claims.texts(claim))
      if (is_plain_address(value) && all.size() < claim_values_max)
        all.push_back(lower(value));
  }
  for (auto& pattern : from.senders)
    if (auto made = fill_sender(pattern, identity))
      all.push_back(std::move(*made));
  if (std::ranges::find(all, "*") != all.end())
    return {};
  // A list of nothing means "any", and an empty pattern fits nobody.
  if (all.empty() && !(from.sender_claims.empty() && from.senders.empty()))
    all.emplace_back();
  return all;
}

} // namespace

judged_user judge(const settings& from, const json_object& claims, std::string_view login, hedwig_time_ns now) {
  judged_user made;
  made.until = check_time(from, claims, now);
  check_purpose(from, claims);
  made.who.name = identity_in(from, claims, login);
  made.who.senders = senders_of(from, claims, made.who.name);
  if (!from.groups_claim.empty())
    for (auto& group : claims.texts(from.groups_claim))
      if (is_name(group) && made.who.groups.size() < claim_values_max)
        made.who.groups.push_back(std::move(group));
  return made;
}

} // namespace hedwig::auth_oauth
