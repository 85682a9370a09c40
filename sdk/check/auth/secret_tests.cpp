// SPDX-License-Identifier: Apache-2.0
// What becomes of secrets: those that a provider has, and those that it is shown.
#include <openssl/evp.h>

#include "sdk/check/auth/desk.hpp"
#include "sdk/check/auth/rules.hpp"
#include "sdk/check/auth/scram.hpp"
#include "sdk/check/auth/tests.hpp"
#include "sdk/check/test.hpp"

namespace hedwig::check::auth {

namespace {

constexpr std::uint32_t iterations_min = 4096;
constexpr std::uint32_t iterations_max = 10'000'000; // more would keep a client busy for minutes

void judge_secret(const known_accounts::account& who, const answer& got) {
  expect_yes(got, fmt::format("fetch_scram of \"{}\"", who.name));
  expect(got.iterations >= iterations_min && got.iterations <= iterations_max, rules::scram_iterations,
         "\"{}\" has {} iterations", who.name, got.iterations);
  expect(!got.salt.empty(), rules::scram_salt, "the salt of \"{}\" is empty", who.name);
  expect(got.stored_key.size() == 32 && got.server_key.size() == 32, rules::scram_keys,
         "the keys of \"{}\" have {} and {} bytes", who.name, got.stored_key.size(), got.server_key.size());
  scram_exchange one{who.password, got.salt, got.iterations,
                     "n=user,r=client,r=clientserver,s=salt,i=" + std::to_string(got.iterations) +
                         ",c=biws,r=clientserver"};
  expect(takes_proof(got.stored_key, one.auth_message, one.proof()), rules::scram_secrets,
         "the stored key of \"{}\" does not take the proof of a client that has the password", who.name);
  expect(hmac_sha256(got.server_key, one.auth_message) == one.expected_signature(), rules::scram_secrets,
         "the server key of \"{}\" does not sign as a client that has the password expects", who.name);
  auto wrong = one;
  wrong.password += "x";
  expect(!takes_proof(got.stored_key, one.auth_message, wrong.proof()), rules::scram_secrets,
         "the stored key of \"{}\" takes the proof of another password", who.name);
}

std::string base64_of(std::string_view text) {
  std::string out((text.size() + 2) / 3 * 4 + 1, '\0');
  auto length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  out.resize(static_cast<std::size_t>(length));
  return out;
}

void expect_without(std::string_view text, const std::vector<std::string>& secrets, std::string_view where) {
  for (auto& secret : secrets)
    expect(!text.contains(secret) && !text.contains(base64_of(secret)), rules::keeps_no_secret, "{} has a secret: {}",
           where, text);
}

} // namespace

void gives_scram_secrets(context& run) {
  if (!scram_vectors_hold())
    throw unusable{"the kit's own SCRAM arithmetic does not give the example of RFC 7677"};
  auto& at = open_desk(run);
  auto users = accounts_for(run, at, slot::scram);
  if (!run.settings().accounts().scram)
    throw skipped{"check.scram: there are no SCRAM secrets of these users"};
  for (auto& one : users) {
    auto first = at.ask({slot::scram, one.name, ""});
    judge_secret(one, first);
    auto second = at.ask({slot::scram, one.name, ""});
    expect(first.salt == second.salt && first.iterations == second.iterations, rules::scram_secrets,
           "the salt or the iterations of \"{}\" are others the second time", one.name);
  }
  at.close();
}

void has_no_scram_for_nobody(context& run) {
  auto& at = open_desk(run);
  if (!at.answers(slot::scram))
    throw skipped{"the provider has no fetch_scram"};
  auto got = at.ask({slot::scram, run.settings().accounts().unknown_user, ""});
  expect_no_yes(got, rules::scram_unknown, "fetch_scram of an unknown user");
  if (!run.settings().accounts().users.empty())
    expect(got.status == HEDWIG_E_NOT_FOUND, rules::scram_unknown,
           "fetch_scram of an unknown user gave {} instead of HEDWIG_E_NOT_FOUND", check::name_of(got.status));
  at.close();
}

void logs_no_secret(context& run) {
  auto& at = open_desk(run);
  at.services().log_everything();
  std::vector<std::string> secrets{"wrong-7f3a9c51e0d24b68"};
  auto users = run.settings().accounts().users;
  users.push_back({run.settings().accounts().unknown_user, "nobody-7f3a9c51e0d24b68", "nobody-5e1d9c02a7b34f60"});
  for (auto which : {slot::password, slot::token})
    for (auto& one : users) {
      auto right = right_question(one, which);
      if (!at.answers(which) || right.secret.empty())
        continue;
      if (right.secret.size() >= 4) // shorter ones may be in a log by chance
        secrets.push_back(right.secret);
      expect_without(at.ask(right).error, secrets, "an error");
      expect_without(at.ask({which, one.name, secrets.front()}).error, secrets, "an error");
    }
  at.close();
  for (auto& line : at.services().logs())
    expect_without(line, secrets, "the log");
}

void looks_at_nothing_later(context& run) {
  auto& at = open_desk(run, true);
  auto users = run.settings().accounts().users;
  users.push_back({run.settings().accounts().unknown_user, "x", "x"});
  for (int round = 0; round < 3; ++round)
    for (auto which : {slot::password, slot::scram, slot::token, slot::lookup})
      for (auto& one : users)
        if (at.answers(which)) {
          at.ask(right_question(one, which));
          at.ask({which, one.name, "no secret of anybody"});
        }
  at.close();
  expect(!lent_memory::looked_at_later(), rules::borrowed, "a question was looked at after its completion");
}

} // namespace hedwig::check::auth
