// SPDX-License-Identifier: Apache-2.0
// Whom a provider does not let in.
#include <algorithm>

#include "sdk/check/auth/desk.hpp"
#include "sdk/check/auth/rules.hpp"
#include "sdk/check/auth/tests.hpp"
#include "sdk/check/test.hpp"

namespace hedwig::check::auth {

namespace {

constexpr std::size_t one_mebibyte = std::size_t{1} << 20;

/// Nearly the password.
std::vector<std::string> near_to(const std::string& right) {
  auto swapped = right;
  for (auto& c : swapped)
    c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  std::vector<std::string> all{
      right + "x",        right + " ",   " " + right, right.substr(0, right.size() - 1),
      right.substr(1),    right + right, swapped,     std::string{right.rbegin(), right.rend()},
      right.substr(0, 1), "*",           "x"};
  std::erase_if(all, [&](auto& one) { return one == right || one.empty(); });
  return all;
}

/// With a backend that answers, or none: without accounts nobody can tell.
bool is_answered(const context& run) { return !run.settings().accounts().users.empty(); }

std::string shown(std::string_view name) {
  std::string out;
  for (unsigned char c : name.substr(0, 60))
    out += c < 0x20 || c >= 0x7F ? fmt::format("\\x{:02x}", static_cast<unsigned>(c))
                                 : std::string(1, static_cast<char>(c));
  return out;
}

} // namespace

void denies_wrong_passwords(context& run) {
  auto& at = open_desk(run);
  auto users = accounts_for(run, at, slot::password);
  for (auto& one : users)
    for (auto& wrong : near_to(one.password)) {
      auto got = at.ask({slot::password, one.name, wrong});
      expect(got.status == HEDWIG_E_DENIED, rules::wrong_is_denied,
             "a wrong password of \"{}\" gave {} instead of HEDWIG_E_DENIED: {}", one.name, check::name_of(got.status),
             got.error);
    }
  for (auto& one : users)
    for (auto& other : users)
      if (one.password != other.password)
        expect_no_yes(at.ask({slot::password, one.name, other.password}), rules::wrong_is_denied,
                      fmt::format("the password of \"{}\" for \"{}\"", other.name, one.name));
  expect_yes(at.ask(right_question(users.front(), slot::password)), "the right password after wrong ones");
  at.close();
}

void knows_no_unknown_user(context& run) {
  auto& at = open_desk(run);
  if (!at.answers(slot::password))
    throw skipped{"the provider has no verify_password"};
  auto unknown = run.settings().accounts().unknown_user;
  std::vector<std::string> secrets{"x", "no secret of anybody"};
  for (auto& one : run.settings().accounts().users)
    secrets.push_back(one.password);
  for (auto& secret : secrets) {
    auto got = at.ask({slot::password, unknown, secret});
    expect_no_yes(got, rules::unknown_is_not_found, "an unknown user");
    if (is_answered(run))
      expect_no(got, rules::unknown_is_not_found, "an unknown user");
  }
  at.close();
}

void refuses_blanks(context& run) {
  auto& at = open_desk(run);
  auto users = run.settings().accounts().users;
  users.push_back({run.settings().accounts().unknown_user, "x", "x"});
  for (auto which : {slot::password, slot::token}) {
    if (!at.answers(which))
      continue;
    expect_no_yes(at.ask({which, "", ""}), rules::never_blank, "an empty name with nothing");
    for (auto& one : users) {
      expect_no_yes(at.ask({which, one.name, ""}), rules::never_blank, fmt::format("\"{}\" with nothing", one.name));
      if (which == slot::password && !one.password.empty())
        expect_no_yes(at.ask({which, "", one.password}), rules::never_for_nobody, "an empty name with a password");
    }
  }
  if (at.answers(slot::lookup))
    expect_no_yes(at.ask({slot::lookup, "", ""}), rules::names_one_user, "a look-up of an empty name");
  if (at.answers(slot::scram))
    expect_no_yes(at.ask({slot::scram, "", ""}), rules::names_one_user, "fetch_scram of an empty name");
  at.close();
}

void refuses_to_act_for_others(context& run) {
  auto& at = open_desk(run);
  auto users = accounts_for(run, at, slot::password);
  auto& ada = users.front();
  auto other = users.size() > 1 ? users[1].name : run.settings().accounts().unknown_user;
  expect_yes(at.ask({slot::password, ada.name, ada.password, ada.name}), "a user who acts for himself");
  for (auto& whom : {other, std::string{"root"}, ada.name + "x"}) {
    auto got = at.ask({slot::password, ada.name, ada.password, whom});
    auto allowed = got.status == HEDWIG_OK && got.who.name != at.ask(right_question(ada, slot::password)).who.name;
    expect(allowed || got.status == HEDWIG_E_DENIED, rules::acts_for_another,
           "\"{}\" with authorize_as \"{}\" gave {} for \"{}\" instead of HEDWIG_E_DENIED", ada.name, whom,
           check::name_of(got.status), got.who.name);
  }
  at.close();
}

void refuses_what_is_long(context& run) {
  auto& at = open_desk(run);
  auto users = run.settings().accounts().users;
  users.push_back({run.settings().accounts().unknown_user, "x", "x"});
  for (auto which : {slot::password, slot::scram, slot::token, slot::lookup}) {
    if (!at.answers(which))
      continue;
    for (auto size : {std::size_t{4096}, std::size_t{65536}, one_mebibyte}) {
      auto& one = users.front();
      auto secret = which == slot::token ? one.token : one.password;
      auto has_secret = which == slot::password || which == slot::token;
      auto text = fmt::format("{} with a name of {} bytes", name_of(which), size + one.name.size());
      expect_no_yes(at.ask({which, one.name + std::string(size, 'x'), has_secret ? secret : ""}), rules::names_one_user,
                    text);
      expect_no_yes(at.ask({which, std::string(size, '('), has_secret ? secret : ""}), rules::names_one_user, text);
      if (has_secret)
        expect_no_yes(at.ask({which, one.name, secret + std::string(size, 'x')}), rules::right_as_a_whole,
                      fmt::format("a secret of {} bytes", size + secret.size()));
    }
  }
  if (at.answers(slot::password))
    for (auto& one : run.settings().accounts().users)
      if (!one.password.empty())
        expect_yes(at.ask(right_question(one, slot::password)), "the right password after long ones");
  at.close();
}

void refuses_strange_bytes(context& run) {
  using namespace std::string_literals;
  auto& at = open_desk(run);
  auto users = accounts_for(run, at, slot::password);
  auto& ada = users.front();
  for (auto& tail :
       {"\0"s, "\0x"s, "\n"s, "\r\n"s, "\x01"s, "\x7F"s, "\xFF"s, "\xC0\x80"s, "\xED\xA0\x80"s, "\xE2\x82"s}) {
    expect_no_yes(at.ask({slot::password, ada.name + tail, ada.password}), rules::names_one_user,
                  fmt::format("the name \"{}\"", shown(ada.name + tail)));
    expect_no_yes(at.ask({slot::password, ada.name, ada.password + tail}), rules::right_as_a_whole,
                  fmt::format("the right password with \"{}\" behind it", shown(tail)));
    expect_no_yes(at.ask({slot::password, tail, tail}), rules::names_one_user,
                  fmt::format("the name \"{}\"", shown(tail)));
    if (at.answers(slot::lookup))
      expect_no_yes(at.ask({slot::lookup, ada.name + tail, ""}), rules::names_one_user,
                    fmt::format("a look-up of \"{}\"", shown(ada.name + tail)));
    if (at.answers(slot::scram))
      expect_no_yes(at.ask({slot::scram, ada.name + tail, ""}), rules::names_one_user,
                    fmt::format("fetch_scram of \"{}\"", shown(ada.name + tail)));
  }
  expect_yes(at.ask(right_question(ada, slot::password)), "the right password after strange ones");
  at.close();
}

void takes_names_as_names(context& run) {
  auto& at = open_desk(run);
  auto users = accounts_for(run, at, slot::password);
  auto ada = users.front();
  const std::vector<std::string> names{"*",
                                       ada.name.substr(0, 1) + "*",
                                       ada.name + "*",
                                       "*)(uid=*",
                                       ada.name + ")(objectClass=*",
                                       ada.name + ")(|(uid=*",
                                       "\\2a",
                                       ada.name + ",dc=example",
                                       "x' OR '1'='1",
                                       "x' OR 1=1 --",
                                       ada.name + "' --",
                                       "x\" OR \"1\"=\"1",
                                       "x'; DROP TABLE users; --",
                                       "%",
                                       ada.name.substr(0, 1) + "%",
                                       "_",
                                       "../../../etc/passwd",
                                       "/etc/passwd",
                                       "{user}",
                                       "${name}",
                                       "%s%s%s%n",
                                       "$(id)",
                                       "`id`",
                                       ada.name + ":x"};
  for (auto& name : names) {
    expect_no(at.ask({slot::password, name, ada.password}), rules::names_one_user,
              fmt::format("the name \"{}\" with somebody's password", name));
    expect_no_yes(at.ask({slot::password, ada.name, name}), rules::right_as_a_whole,
                  fmt::format("the password \"{}\"", name));
    if (at.answers(slot::lookup))
      expect_no(at.ask({slot::lookup, name, ""}), rules::names_one_user, fmt::format("a look-up of \"{}\"", name));
    if (at.answers(slot::scram))
      expect_no(at.ask({slot::scram, name, ""}), rules::names_one_user, fmt::format("fetch_scram of \"{}\"", name));
  }
  expect_yes(at.ask(right_question(ada, slot::password)), "the right password after names such as \"*\"");
  at.close();
}

void refuses_wrong_tokens(context& run) {
  auto& at = open_desk(run);
  if (!at.answers(slot::token))
    throw skipped{"the provider has no verify_token"};
  auto& facts = run.settings().accounts();
  std::vector<std::string> wrong{"x", "e30.e30.", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ.", "....", "a.b.c.d"};
  wrong.insert(wrong.end(), facts.refused_tokens.begin(), facts.refused_tokens.end());
  std::string name = facts.unknown_user;
  for (auto& one : facts.users)
    if (!one.token.empty()) {
      name = one.name;
      wrong.push_back(one.token + "x");
      wrong.push_back(one.token.substr(0, one.token.size() / 2));
      wrong.push_back(one.token.substr(1));
    }
  for (auto& token : wrong) {
    auto got = at.ask({slot::token, name, token});
    expect_no_yes(got, rules::right_as_a_whole, fmt::format("the token \"{}\"", shown(token)));
    if (is_answered(run))
      expect_no(got, rules::wrong_is_denied, fmt::format("the token \"{}\"", shown(token)));
  }
  at.close();
}

void looks_up_who_exists(context& run) {
  auto& at = open_desk(run);
  if (!at.answers(slot::lookup))
    throw skipped{"the provider has no lookup"};
  auto got = at.ask({slot::lookup, run.settings().accounts().unknown_user, ""});
  expect_no_yes(got, rules::unknown_is_not_found, "a look-up of an unknown user");
  for (auto& one : run.settings().accounts().users)
    expect_yes(at.ask({slot::lookup, one.name, ""}), fmt::format("lookup of \"{}\"", one.name));
  if (is_answered(run))
    expect(got.status == HEDWIG_E_NOT_FOUND, rules::unknown_is_not_found,
           "a look-up of an unknown user gave {} instead of HEDWIG_E_NOT_FOUND", check::name_of(got.status));
  at.close();
}

} // namespace hedwig::check::auth
