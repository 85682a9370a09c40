// SPDX-License-Identifier: Apache-2.0
#include "actors/authenticator.hpp"

#include "actors/mailbox_sink.hpp"
#include "runtime/telemetry/log.hpp"

namespace hedwig {

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
  while (now.provider < providers.size() && !providers[now.provider]->verifies_passwords())
    ++now.provider;
  if (now.provider == providers.size()) {
    finish(number, {.token = now.question.token, .status = now.worst, .identity = {}, .senders = {}, .limits = {}});
    return;
  }
  // A copy each: the provider's face wipes the secret that it is given once the answer is there.
  providers[now.provider]->verify_password(now.question.request, {sink_, number, {}});
}

void authenticator::on_answers(plugin_answers& answers) {
  for (auto& one : answers.done) {
    auto found = open_.find(one.tag);
    if (found == open_.end())
      continue;
    auto& now = found->second;
    if (one.value) {
      auto& who = plugin::as<plugin::identity>(*one.value);
      finish(one.tag, {.token = now.question.token,
                       .status = HEDWIG_OK,
                       .identity = std::move(who.name),
                       .senders = std::move(who.senders),
                       .limits = who.limits});
      continue;
    }
    auto& why = one.value.error();
    if (why.status == HEDWIG_E_DENIED) {
      finish(one.tag,
             {.token = now.question.token, .status = HEDWIG_E_DENIED, .identity = {}, .senders = {}, .limits = {}});
      continue;
    }
    if (why.status != HEDWIG_E_NOT_FOUND) {
      telemetry::log(telemetry::level::warn, telemetry::component::authenticator,
                     {"auth.unavailable", "a provider could not tell who a client is"},
                     {{"provider", relay().plugins.auth[now.provider]->owner()->name()}, {"error", why.text()}});
      now.worst = HEDWIG_E_UNAVAILABLE;
    }
    ++now.provider;
    ask(one.tag, now);
  }
}

void authenticator::finish(std::uint64_t number, authenticated answer) {
  auto found = open_.find(number);
  auto& secret = found->second.question.request.secret;
  std::fill(secret.begin(), secret.end(), '\0');
  auto to = std::move(found->second.question.reply_to);
  open_.erase(found);
  send(to, std::move(answer));
}

} // namespace hedwig
