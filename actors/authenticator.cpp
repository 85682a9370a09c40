// SPDX-License-Identifier: Apache-2.0
#include "actors/authenticator.hpp"

#include "actors/mailbox_sink.hpp"
#include "runtime/telemetry/log.hpp"

namespace hedwig {

namespace {

constexpr std::size_t sha256_octets = 32;

bool can_answer(const plugin::auth_provider& provider, smtp::sasl_question question) noexcept {
  switch (question) {
  case smtp::sasl_question::password:
    return provider.verifies_passwords();
  case smtp::sasl_question::token:
    return provider.verifies_tokens();
  case smtp::sasl_question::external:
    return provider.looks_up();
  default:
    return provider.fetches_scram();
  }
}

/// Takes them out of `who`; null: there are none.
std::shared_ptr<const plugin::user_facts> facts_of(plugin::identity& who) {
  if (who.groups.empty() && who.attributes.empty())
    return nullptr;
  return std::make_shared<const plugin::user_facts>(std::move(who.groups), std::move(who.attributes));
}

authenticated answer_of(plugin::identity& who, std::uint64_t token) {
  return {.token = token,
          .status = HEDWIG_OK,
          .identity = std::move(who.name),
          .senders = std::move(who.senders),
          .limits = who.limits,
          .facts = facts_of(who)};
}

} // namespace

caf::behavior authenticator::make_behavior() {
  sink_ = std::make_shared<mailbox_sink>(caf::actor_cast<caf::actor>(this));
  set_state("ready");
  return {[this](authenticate& question) { on_question(question); },
          [this](plugin_answers& answers) { on_answers(answers); }};
}

void authenticator::on_question(authenticate& question) {
  auto number = ++last_;
  auto& now = open_[number];
  now.question = std::move(question);
  ask(number, now);
}

void authenticator::ask(std::uint64_t number, inquiry& now) {
  auto& providers = relay().plugins.auth;
  while (now.provider < providers.size() && !can_answer(*providers[now.provider], now.question.question))
    ++now.provider;
  if (now.provider == providers.size()) {
    finish_without_user(number, now, now.worst);
    return;
  }
  auto& provider = *providers[now.provider];
  // A copy each: the provider's face wipes the secret that it is given once the answer is there.
  auto& request = now.question.request;
  if (now.question.question == smtp::sasl_question::password)
    provider.verify_password(request, {sink_, number, {}});
  else if (now.question.question == smtp::sasl_question::token)
    provider.verify_token(request, {sink_, number, {}});
  else if (now.question.question == smtp::sasl_question::external)
    provider.lookup(request, {sink_, number, {}});
  else
    provider.fetch_scram(request, {sink_, number, {}});
}

void authenticator::on_answers(plugin_answers& answers) {
  for (auto& one : answers.done) {
    auto found = open_.find(one.tag);
    if (found == open_.end())
      continue;
    auto& now = found->second;
    if (one.value && now.question.question == smtp::sasl_question::scram) {
      if (take_keys(one.tag, now, plugin::as<plugin::scram_secret>(*one.value)))
        continue;
    } else if (one.value) {
      finish(one.tag, answer_of(plugin::as<plugin::identity>(*one.value), now.question.token));
      continue;
    } else if (one.value.error().status == HEDWIG_E_DENIED) {
      finish_without_user(one.tag, now, HEDWIG_E_DENIED);
      continue;
    } else if (one.value.error().status != HEDWIG_E_NOT_FOUND) {
      doubt(now, one.value.error());
    }
    ++now.provider;
    ask(one.tag, now);
  }
}

bool authenticator::take_keys(std::uint64_t number, inquiry& now, plugin::scram_secret& secret) {
  if (secret.stored_key.size() != sha256_octets || secret.server_key.size() != sha256_octets) {
    doubt(now, {HEDWIG_E_INTERNAL, "the provider gave SCRAM keys that are not of SHA-256", {}, 0});
    return false;
  }
  auto answer = answer_of(secret.who, now.question.token);
  answer.keys = smtp::scram_keys{.iterations = secret.iterations,
                                 .salt = std::move(secret.salt),
                                 .stored_key = std::move(secret.stored_key),
                                 .server_key = std::move(secret.server_key)};
  pretender_.learn(*answer.keys);
  finish(number, std::move(answer));
  return true;
}

void authenticator::doubt(inquiry& now, const error& why) {
  telemetry::log(telemetry::level::warn, telemetry::component::authenticator,
                 {"auth.unavailable", "a provider could not tell who a client is"},
                 {{"provider", relay().plugins.auth[now.provider]->owner()->name()}, {"error", why.text()}});
  now.worst = HEDWIG_E_UNAVAILABLE;
}

void authenticator::finish_without_user(std::uint64_t number, inquiry& now, hedwig_status status) {
  authenticated answer{.token = now.question.token, .status = status, .identity = {}, .senders = {}, .limits = {}};
  if (status == HEDWIG_E_DENIED && now.question.question == smtp::sasl_question::scram)
    answer.keys = pretender_.keys_for(now.question.request.username);
  finish(number, std::move(answer));
}

void authenticator::finish(std::uint64_t number, authenticated answer) {
  auto found = open_.find(number);
  smtp::wipe(found->second.question.request.secret);
  auto to = std::move(found->second.question.reply_to);
  open_.erase(found);
  send(to, std::move(answer));
}

} // namespace hedwig
