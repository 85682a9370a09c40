// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/auth/question.hpp"

#include <hedwig/plugin.hpp>

#include <algorithm>
#include <array>

#include "sdk/check/auth/rules.hpp"
#include "sdk/check/test.hpp"

namespace hedwig::check::auth {

namespace {

constexpr std::size_t list_max = 10'000; // of groups, attributes, senders; what the relay takes

/// What stands in logs and header fields.
bool is_plain(std::string_view text) {
  return std::ranges::none_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7F; });
}

bool is_sender(std::string_view text) {
  if (text.empty() || text == "*")
    return true;
  auto at = text.rfind('@');
  return is_plain(text) && text.size() <= 320 && at != text.npos && at + 1 < text.size() && !text.contains(' ');
}

std::optional<blemish> blemish_of(const identity_copy& who) {
  auto plain = [](auto& text) { return !text.empty() && is_plain(text); };
  if (!is_plain(who.name))
    return blemish{&rules::identity_is_canonical, "the identity has control characters"};
  if (!std::ranges::all_of(who.groups, plain))
    return blemish{&rules::identity_is_canonical, "a group is empty or has control characters"};
  for (auto& [key, value] : who.attributes)
    if (!plain(key))
      return blemish{&rules::repeated_keys, "the key of an attribute is empty or has control characters"};
  for (auto& one : who.senders)
    if (!is_sender(one))
      return blemish{&rules::allowed_senders, fmt::format("\"{}\" is no sender", one)};
  if (who.cache_for < 0)
    return blemish{&rules::negative_durations, fmt::format("cache_for is {}", who.cache_for)};
  return std::nullopt;
}

std::string text_of(hedwig_bytes from) { return std::string{sdk::view(from)}; }

} // namespace

const char* name_of(slot which) {
  constexpr std::array names{"verify_password", "fetch_scram", "verify_token", "lookup"};
  return names[static_cast<std::size_t>(which)];
}

auth_op::auth_op(asked question, bool watched)
  : what{std::move(question)}, memory_{what.username.size() + what.secret.size() + what.authorize_as.size(), watched} {
  constexpr std::array mechanisms{"PLAIN", "SCRAM-SHA-256", "OAUTHBEARER", "EXTERNAL"};
  auto* made = memory_.make<hedwig_auth_request>();
  made->struct_size = sizeof *made;
  made->flags = HEDWIG_SESSION_TLS;
  made->mechanism = sdk::str(memory_.keep(mechanisms[static_cast<std::size_t>(what.which)]));
  made->username = sdk::str(memory_.keep(what.username));
  made->authorize_as = sdk::str(memory_.keep(what.authorize_as));
  made->peer = sdk::str(memory_.keep("192.0.2.1"));
  made->listener = sdk::str(memory_.keep("submission"));
  made->session = sdk::str(memory_.keep("17"));
  made->secret = sdk::bytes(memory_.keep(what.secret));
  request = made;
  called(name_of(what.which));
  cancelled = what.cancelled;
}

void auth_op::take(const hedwig_completion& done) {
  got.status = done.status;
  got.error = error;
  if (done.status != HEDWIG_OK)
    return;
  if (done.result == nullptr)
    got.empty = {&rules::yes_has_identity, fmt::format("{} gave HEDWIG_OK and no result", name_of(what.which))};
  else if (what.which == slot::scram)
    take_secret(static_cast<const hedwig_scram_result*>(done.result));
  else
    take_identity(static_cast<const hedwig_auth_result*>(done.result));
}

void auth_op::take_identity(const hedwig_auth_result* raw) {
  if (raw == nullptr || raw->struct_size < sizeof *raw || raw->identity.size == 0) {
    got.empty = {raw != nullptr && raw->struct_size < sizeof *raw ? &rules::sized_structs : &rules::yes_has_identity,
                 raw == nullptr ? "there is no hedwig_auth_result"
                                : fmt::format("hedwig_auth_result has struct_size {} and an identity of {} bytes",
                                              raw->struct_size, raw->identity.size)};
    return;
  }
  got.who.name = sdk::view(raw->identity);
  if (raw->group_count > list_max || raw->attribute_count > list_max || raw->sender_count > list_max) {
    got.strange = {&rules::identity_is_canonical, "more than 10000 groups, attributes or senders"};
    return;
  }
  for (std::size_t i = 0; i < raw->group_count; ++i)
    got.who.groups.emplace_back(sdk::view(raw->groups[i]));
  for (std::size_t i = 0; i < raw->attribute_count; ++i)
    got.who.attributes.emplace_back(sdk::view(raw->attributes[i].key), sdk::view(raw->attributes[i].value));
  for (std::size_t i = 0; i < raw->sender_count; ++i)
    got.who.senders.emplace_back(sdk::view(raw->senders[i]));
  got.who.cache_for = raw->cache_for;
  got.strange = blemish_of(got.who);
  if (raw->limits != nullptr && raw->limits->struct_size < sizeof *raw->limits)
    got.strange = {&rules::sized_structs,
                   fmt::format("hedwig_auth_limits has struct_size {}", raw->limits->struct_size)};
}

void auth_op::take_secret(const hedwig_scram_result* raw) {
  if (raw->struct_size < sizeof *raw) {
    got.empty = {&rules::sized_structs, fmt::format("hedwig_scram_result has struct_size {}", raw->struct_size)};
    return;
  }
  got.iterations = raw->iterations;
  got.salt = text_of(raw->salt);
  got.stored_key = text_of(raw->stored_key);
  got.server_key = text_of(raw->server_key);
  take_identity(raw->identity);
}

} // namespace hedwig::check::auth
