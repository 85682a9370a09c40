// SPDX-License-Identifier: Apache-2.0
// What hooks say, and to which messages.
#include "sdk/check/filter/rules.hpp"
#include "sdk/check/filter/samples.hpp"
#include "sdk/check/filter/session.hpp"
#include "sdk/check/filter/tests.hpp"
#include "sdk/check/test.hpp"

namespace hedwig::check::filter {

namespace {

std::vector<sample> all_samples(const context& run) {
  auto all = plain_samples(run);
  for (auto& more : {odd_messages(), odd_envelopes()})
    all.insert(all.end(), more.begin(), more.end());
  return all;
}

/// Sends everything and throws the first blemish of the kind that `which` names.
void expect_unblemished(context& run, std::optional<blemish> blemishes::*which) {
  auto& at = open_desk(run);
  auto judge = [which](const sample& one, const blemishes& wrong) {
    if (auto& found = wrong.*which)
      throw broken{*found->which, one.name + ": " + found->saw};
  };
  for (auto& one : all_samples(run)) {
    session client{at, one.message};
    client.play(steps_of(one.message));
    client.reset();
    client.close();
    for (auto& wrong : client.wrong())
      judge(one, wrong);
    auto delivery = at.deliver(one.message);
    at.services().wait(*delivery);
    judge(one, delivery->wrong);
  }
  at.close();
}

/// What a message hears in a session of its own, of an instance of its own: the body cut to pieces, after another one.
std::vector<verdict_copy> heard(context& run, const known_message& what, std::size_t piece) {
  auto& at = open_desk(run);
  session client{at, what};
  client.play(steps_of(what, piece));
  client.close();
  at.close();
  return client.said();
}

void take_all(context& run, const std::vector<sample>& all) {
  auto& at = open_desk(run);
  for (auto& one : all) {
    session client{at, one.message};
    client.play(steps_of(one.message));
    client.reset();
    client.close();
    expect_sound(client, rules::broke_its_rules, one.name);
  }
  at.close();
}

/// The verdicts on the ordinary message that comes after another one, all of it or its first steps, in the same
/// session.
std::vector<verdict_copy> heard_after(context& run, const known_message& before, std::size_t steps) {
  auto& at = open_desk(run);
  session client{at, before};
  auto first = steps_of(before);
  first.resize(std::min(first.size(), steps));
  client.play(first);
  client.reset();
  client.forget();
  for (auto& one : steps_of(ordinary_message()))
    if (one.which >= hook::mail)
      client.play(one);
  client.reset();
  client.close();
  at.close();
  return client.said();
}

} // namespace

void offers_hooks(context& run) {
  auto& table = *static_cast<const hedwig_filter*>(run.provider().interface);
  expect(table.struct_size >= sizeof table, rules::sized_structs, "hedwig_filter has struct_size {}, it has {} bytes",
         table.struct_size, sizeof table);
  expect((table.open == nullptr) == (table.close == nullptr), rules::open_and_close, "{} is NULL and {} is not",
         table.open == nullptr ? "open" : "close", table.open == nullptr ? "close" : "open");
  expect(table.on_connect != nullptr || table.on_helo != nullptr || table.on_auth != nullptr ||
             table.on_mail != nullptr || table.on_recipient != nullptr || table.on_header != nullptr ||
             table.on_body != nullptr || table.on_end != nullptr || table.on_delivery != nullptr,
         rules::hooks_answer, "every hook is NULL");
}

void completes_once(context& run) {
  auto& at = open_desk(run);
  std::vector<op_pointer> deliveries;
  std::vector<std::unique_ptr<session>> clients; // until stop(), the last moment for a second completion
  for (auto& one : plain_samples(run)) {
    auto& client = *clients.emplace_back(std::make_unique<session>(at, one.message));
    client.play(steps_of(one.message));
    client.reset();
    for (auto& again : steps_of(one.message))
      if (again.which >= hook::mail)
        client.play(again);
    client.close();
    deliveries.push_back(at.deliver(one.message));
  }
  for (auto& one : deliveries)
    at.services().wait(*one);
  at.close();
}

void knows_its_actions(context& run) { expect_unblemished(run, &blemishes::action); }
void replies_well(context& run) { expect_unblemished(run, &blemishes::reply); }
void edits_at_the_end(context& run) { expect_unblemished(run, &blemishes::place); }
void edits_well(context& run) { expect_unblemished(run, &blemishes::edits); }

void takes_odd_messages(context& run) { take_all(run, odd_messages()); }
void takes_odd_envelopes(context& run) { take_all(run, odd_envelopes()); }

void sees_no_borders(context& run) {
  if (static_cast<const hedwig_filter*>(run.provider().interface)->on_body == nullptr)
    throw skipped{"the filter has no on_body"};
  auto samples = plain_samples(run);
  for (auto& one : odd_messages())
    if (one.message.body.size() > 1 && one.message.fields.size() < 100)
      samples.push_back(one);
  auto large = ordinary_message();
  auto lines = run.pick<std::size_t>(20'000, 80'000, 320'000);
  for (std::size_t i = 0; i < lines; ++i)
    large.body += fmt::format("line {} of a body that is larger than others\r\n", i);
  samples.push_back({"a large body", large});
  for (auto& one : samples) {
    auto whole = heard(run, one.message, 0);
    for (std::size_t piece : {1u, 3u, 1000u, 65536u, 1'000'003u})
      if (piece < one.message.body.size() && one.message.body.size() / piece < 4096)
        expect_the_same(whole, heard(run, one.message, piece), rules::no_borders,
                        fmt::format("{}, its body in pieces of {} bytes", one.name, piece));
  }
}

void forgets_what_is_over(context& run) {
  for (auto& one : plain_samples(run)) {
    auto other = one.message;
    for (auto& [name, value] : other.fields)
      value = "something else";
    other.body = "Something else.\r\n";
    auto steps = steps_of(one.message).size();
    for (std::size_t so_far : {steps, steps - 1, steps - 2})
      expect_the_same(heard_after(run, other, so_far), heard_after(run, one.message, so_far), rules::message_is_over,
                      fmt::format("an ordinary message after {}{}", one.name,
                                  so_far == steps ? "" : ", of which the end was missing,"));
  }
}

} // namespace hedwig::check::filter
