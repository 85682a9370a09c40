// SPDX-License-Identifier: Apache-2.0
// Many questions at once, and those that nobody waits for any more.
#include <map>
#include <tuple>

#include "sdk/check/auth/desk.hpp"
#include "sdk/check/auth/rules.hpp"
#include "sdk/check/auth/tests.hpp"
#include "sdk/check/test.hpp"

namespace hedwig::check::auth {

namespace {

constexpr std::string_view wrong_secret = "no secret of anybody";
constexpr slot all_slots[] = {slot::password, slot::scram, slot::token, slot::lookup};

/// Right, wrong and hopeless questions of every kind that the provider answers, `count` of each kind.
std::vector<asked> mixed_questions(const context& run, const desk& at, std::size_t count) {
  auto users = run.settings().accounts().users;
  std::vector<asked> all;
  for (std::size_t i = 0; i < count; ++i)
    for (auto which : all_slots) {
      if (!at.answers(which))
        continue;
      auto unknown = users.empty() || i % 4 == 3;
      auto& name = unknown ? run.settings().accounts().unknown_user : users[i % users.size()].name;
      if (unknown || i % 4 == 2)
        all.push_back({which, name, fmt::format("{} {}", wrong_secret, i)});
      else
        all.push_back(right_question(users[i % users.size()], which));
    }
  return all;
}

void expect_the_same(const answer& alone, const answer& among, const asked& what) {
  bool same = alone.status == among.status && alone.who == among.who && alone.salt == among.salt &&
              alone.stored_key == among.stored_key;
  expect(same, rules::exactly_once, "{} of \"{}\" gave {} for \"{}\" among many, {} for \"{}\" alone",
         name_of(what.which), what.username, check::name_of(among.status), among.who.name, check::name_of(alone.status),
         alone.who.name);
}

} // namespace

void answers_each_its_own(context& run) {
  auto& at = open_desk(run);
  auto questions = mixed_questions(run, at, run.pick<std::size_t>(100, 250, 2500));
  std::vector<op_pointer> ops;
  for (auto& one : questions)
    ops.push_back(at.begin(one));
  for (auto& one : ops)
    at.wait(one);
  // A question is as good as any other of its kind about the same user that is right, or wrong, too.
  std::map<std::tuple<slot, std::string, bool>, answer> alone;
  for (auto& one : ops) {
    auto wrong = one->what.secret.starts_with(wrong_secret);
    std::tuple kind{one->what.which, one->what.username, wrong};
    if (!alone.contains(kind))
      alone[kind] = at.ask(one->what);
    expect_the_same(alone[kind], one->got, one->what);
  }
  at.close();
}

void completes_what_is_cancelled(context& run) {
  auto& at = open_desk(run);
  std::vector<op_pointer> ops;
  auto questions = mixed_questions(run, at, 40);
  for (std::size_t i = 0; i < questions.size(); ++i) {
    questions[i].cancelled = i % 2 == 0;
    ops.push_back(at.begin(questions[i]));
  }
  at.wait_for_calls(); // an op is the plugin's from there on
  for (auto& one : ops) {
    bool open = false;
    {
      std::lock_guard guard{at.services().mutex()};
      open = one->completions == 0;
    }
    one->cancelled = true;
    if (run.provider().cancel != nullptr && open)
      run.provider().cancel(at.life().raw(), one.get());
  }
  for (auto& one : ops)
    at.wait(one);
  at.close();
}

void answers_before_it_stops(context& run) {
  auto& at = open_desk(run);
  for (auto& one : mixed_questions(run, at, 40))
    at.begin(one);
  at.close(); // after every call has returned; what is not completed is in flight
}

void says_when_it_cannot_ask(context& run) {
  auto config = run.outage();
  if (config == nullptr)
    throw skipped{"check.outage says with which settings the backend cannot be asked"};
  auto& at = *new desk{run, config}; // NOLINT: as of open_desk()
  if (at.try_open() != HEDWIG_OK)
    return; // nobody is asked then
  auto users = run.settings().accounts().users;
  users.push_back({run.settings().accounts().unknown_user, "no secret of anybody", "no token of anybody"});
  for (auto which : all_slots)
    for (auto& one : users) {
      if (!at.answers(which))
        continue;
      auto got = at.ask(right_question(one, which));
      bool temporary = got.status != HEDWIG_OK && got.status != HEDWIG_E_DENIED && got.status != HEDWIG_E_NOT_FOUND;
      bool no_scram = which == slot::scram && !run.settings().accounts().scram && got.status == HEDWIG_E_NOT_FOUND;
      expect(temporary || no_scram, rules::outage_is_temporary, "{} of \"{}\" gave {} in an outage", name_of(which),
             one.name, check::name_of(got.status));
    }
  at.close();
}

} // namespace hedwig::check::auth
