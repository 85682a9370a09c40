// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/auth/desk.hpp"

#include "sdk/check/auth/rules.hpp"
#include "sdk/check/test.hpp"

namespace hedwig::check::auth {

desk::desk(context& run, std::shared_ptr<const hedwig_config> config, bool watched)
  : table_{*static_cast<const hedwig_auth*>(run.provider().interface)},
    instance_{run, config != nullptr ? std::move(config) : run.config()}, watched_{watched} {}

hedwig_status desk::try_open() { return instance_.try_begin(); }
void desk::open() { instance_.begin(); }

void desk::close() {
  wait_for_calls();
  threads_.finish();
  instance_.end([this] {
    std::lock_guard guard{services().mutex()};
    for (auto& one : all_)
      expect(one->completions > 0, rules::completes_stop, "stop() was completed before a question was");
  });
}

hedwig_auth_fn desk::function_of(slot which) const {
  switch (which) {
  case slot::password:
    return table_.verify_password;
  case slot::scram:
    return table_.fetch_scram;
  case slot::token:
    return table_.verify_token;
  case slot::lookup:
    break;
  }
  return table_.lookup;
}

op_pointer desk::begin(asked what) {
  auto function = function_of(what.which);
  if (function == nullptr)
    throw unusable{"a question that the provider does not answer"};
  auto one = std::make_shared<auth_op>(std::move(what), watched_);
  all_.push_back(one);
  threads_.post(
      [function, self = instance_.raw(), op = one.get(), shown = one->request] { function(self, op, shown); });
  return one;
}

const answer& desk::wait(const op_pointer& one) {
  services().wait(*one);
  return one->got;
}

void desk::wait_for_calls() {
  expect(threads_.wait_idle(), rules::exactly_once, "a call had not returned after {} seconds",
         host::wait_max().count());
}

desk& open_desk(context& run, bool watched) {
  auto& made = *new desk{run, nullptr, watched}; // NOLINT: see the header
  made.open();
  return made;
}

std::vector<known_accounts::account> accounts_for(const context& run, slot which) {
  std::vector<known_accounts::account> found;
  for (auto& one : run.settings().accounts().users) {
    auto needs = which == slot::token ? one.token : which == slot::lookup ? one.name : one.password;
    if (!needs.empty())
      found.push_back(one);
  }
  if (found.empty())
    throw skipped{fmt::format("check.users names nobody whom {} could be asked about", name_of(which))};
  return found;
}

std::vector<known_accounts::account> accounts_for(const context& run, const desk& at, slot which) {
  if (!at.answers(which))
    throw skipped{fmt::format("the provider has no {}", name_of(which))};
  return accounts_for(run, which);
}

asked right_question(const known_accounts::account& who, slot which) {
  auto secret = which == slot::password ? who.password : which == slot::token ? who.token : std::string{};
  return {which, who.name, secret};
}

void expect_yes(const answer& got, std::string_view asked_what) {
  expect(got.status == HEDWIG_OK, rules::questions_offered, "{} gave {}: {}", asked_what, check::name_of(got.status),
         got.error);
  if (got.empty)
    throw broken{*got.empty->which, got.empty->saw};
}

void expect_no(const answer& got, const rule& which, std::string_view asked_what) {
  expect(got.status == HEDWIG_E_DENIED || got.status == HEDWIG_E_NOT_FOUND, which,
         "{} gave {} instead of HEDWIG_E_DENIED or HEDWIG_E_NOT_FOUND: {}", asked_what, check::name_of(got.status),
         got.error);
}

void expect_no_yes(const answer& got, const rule& which, std::string_view asked_what) {
  expect(got.status != HEDWIG_OK, which, "{} gave HEDWIG_OK, for \"{}\"", asked_what, got.who.name);
}

} // namespace hedwig::check::auth
