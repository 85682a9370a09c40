// SPDX-License-Identifier: Apache-2.0
// What must hold before anything else can be judged, and what a yes says.
#include <map>

#include "sdk/check/auth/desk.hpp"
#include "sdk/check/auth/rules.hpp"
#include "sdk/check/auth/tests.hpp"
#include "sdk/check/test.hpp"

namespace hedwig::check::auth {

namespace {

constexpr slot every_slot[] = {slot::password, slot::scram, slot::token, slot::lookup};

/// Accounts whom the provider can be asked about rightly; empty where there are none.
std::vector<known_accounts::account> usable_accounts(const context& run, const desk& at, slot which) {
  if (which == slot::scram && !run.settings().accounts().scram)
    return {};
  try {
    return accounts_for(run, at, which);
  } catch (const skipped&) {
    return {};
  }
}

std::string about(const known_accounts::account& who, slot which) {
  return fmt::format("{} of \"{}\"", name_of(which), who.name);
}

} // namespace

void offers_questions(context& run) {
  auto& table = *static_cast<const hedwig_auth*>(run.provider().interface);
  expect(table.struct_size >= sizeof table, rules::sized_structs, "hedwig_auth has struct_size {}, it has {} bytes",
         table.struct_size, sizeof table);
  expect(table.verify_password != nullptr || table.fetch_scram != nullptr || table.verify_token != nullptr ||
             table.lookup != nullptr,
         rules::questions_offered, "every slot is NULL");
}

void completes_once(context& run) {
  auto& at = open_desk(run);
  for (auto which : every_slot) {
    if (!at.answers(which))
      continue;
    for (int i = 0; i < 2; ++i)
      at.ask({which, run.settings().accounts().unknown_user, "no secret of anybody"});
    for (auto& one : usable_accounts(run, at, which)) {
      at.ask(right_question(one, which));
      at.ask({which, one.name, "no secret of anybody"});
    }
  }
  at.close(); // stop() is the last moment for a second completion
}

void says_yes(context& run) {
  auto& at = open_desk(run);
  bool asked_anybody = false;
  for (auto which : every_slot)
    for (auto& one : usable_accounts(run, at, which)) {
      asked_anybody = true;
      expect_yes(at.ask(right_question(one, which)), about(one, which));
    }
  at.close();
  if (!asked_anybody)
    throw skipped{"check.users names nobody whom the provider could be asked about"};
}

void describes_users(context& run) {
  auto& at = open_desk(run);
  std::map<std::string, std::string> identities;
  std::map<std::string, std::string> names;
  for (auto which : every_slot)
    for (auto& one : usable_accounts(run, at, which)) {
      auto got = at.ask(right_question(one, which));
      if (got.strange)
        throw broken{*got.strange->which, about(one, which) + ": " + got.strange->saw};
      auto& known = identities.try_emplace(one.name, got.who.name).first->second;
      expect(known == got.who.name, rules::identity_is_canonical, "{} says \"{}\", another question \"{}\"",
             about(one, which), got.who.name, known);
      auto& whose = names.try_emplace(got.who.name, one.name).first->second;
      expect(whose == one.name, rules::identity_is_canonical, "\"{}\" and \"{}\" both are \"{}\"", one.name, whose,
             got.who.name);
    }
  at.close();
  if (identities.empty())
    throw skipped{"check.users names nobody whom the provider could be asked about"};
}

} // namespace hedwig::check::auth
