// SPDX-License-Identifier: Apache-2.0
// Many sessions, and how they end.
#include <malloc.h>

#include <algorithm>

#include "sdk/check/calling_threads.hpp"
#include "sdk/check/filter/rules.hpp"
#include "sdk/check/filter/samples.hpp"
#include "sdk/check/filter/session.hpp"
#include "sdk/check/filter/tests.hpp"
#include "sdk/check/test.hpp"

namespace hedwig::check::filter {

namespace {

/// What the sample's client hears when there is no other: of an instance of its own.
std::vector<verdict_copy> heard_alone(context& run, const known_message& what, std::size_t piece = 0) {
  auto& at = open_desk(run);
  session client{at, what};
  client.play(steps_of(what, piece));
  client.close();
  at.close();
  return client.said();
}

/// Clients of their own addresses, with contents that differ.
std::vector<sample> different_samples(const context& run, std::size_t count) {
  auto samples = plain_samples(run);
  auto kinds = samples.size();
  for (std::size_t i = 0; samples.size() < count; ++i) {
    auto one = samples[i % kinds];
    if (i % kinds < 3) { // those of check.messages stay what they are
      one.message.sender = fmt::format("sender{}@example.org", i);
      one.message.fields.emplace_back("X-Number", std::to_string(i));
      one.message.body += std::string(i % 7, 'x') + "\r\n";
    }
    one.name = fmt::format("{}, session {},", one.name, i);
    samples.push_back(std::move(one));
  }
  return samples;
}

std::uint64_t heap_in_use() {
  auto now = ::mallinfo2();
  return now.uordblks + now.hblkhd;
}

void one_session(desk& at, const known_message& what) {
  session client{at, what};
  client.play(steps_of(what));
  client.reset();
  client.close();
}

} // namespace

void keeps_sessions_apart(context& run) {
  auto samples = different_samples(run, 16);
  std::vector<std::vector<verdict_copy>> alone;
  for (auto& one : samples)
    alone.push_back(heard_alone(run, one.message, 20));
  auto& at = open_desk(run);
  std::vector<std::unique_ptr<session>> clients;
  std::vector<std::vector<step>> steps;
  std::size_t most = 0;
  for (auto& one : samples) {
    clients.push_back(std::make_unique<session>(at, one.message));
    steps.push_back(steps_of(one.message, 20));
    most = std::max(most, steps.back().size());
  }
  for (std::size_t turn = 0; turn < most; ++turn)
    for (std::size_t i = 0; i < clients.size(); ++i)
      if (turn < steps[i].size())
        clients[i]->play(steps[i][turn]);
  for (std::size_t i = 0; i < clients.size(); ++i) {
    clients[i]->close();
    expect_the_same(alone[i], clients[i]->said(), rules::one_state_each, samples[i].name + " among others");
  }
  at.close();
}

void serves_sessions_at_once(context& run) {
  auto samples = different_samples(run, run.pick<std::size_t>(40, 80, 400));
  std::vector<std::vector<verdict_copy>> alone;
  for (auto& one : samples)
    alone.push_back(heard_alone(run, one.message));
  auto& at = open_desk(run);
  std::vector<std::unique_ptr<session>> clients;
  for (auto& one : samples)
    clients.push_back(std::make_unique<session>(at, one.message));
  auto& threads = *new calling_threads{8}; // NOLINT: a test that fails leaves them behind
  for (std::size_t i = 0; i < clients.size(); ++i)
    threads.post([&at, &client = *clients[i], &what = samples[i].message] {
      try {
        client.play(steps_of(what));
        client.close();
      } catch (const broken& e) {
        at.services().breach(e.which(), e.what());
      }
    });
  expect(threads.wait_idle(), rules::exactly_once, "a session had not ended after {} seconds",
         host::wait_max().count());
  threads.finish();
  at.services().judge();
  for (std::size_t i = 0; i < clients.size(); ++i)
    expect_the_same(alone[i], clients[i]->said(), rules::one_state_each, samples[i].name + " beside others");
  at.close();
}

void ends_in_any_state(context& run) {
  auto& at = open_desk(run);
  for (auto& one : plain_samples(run)) {
    auto steps = steps_of(one.message, 40);
    for (std::size_t count = 0; count <= steps.size(); ++count)
      for (bool with_reset : {false, true}) {
        session client{at, one.message};
        client.play({steps.begin(), steps.begin() + static_cast<std::ptrdiff_t>(count)});
        if (with_reset)
          client.reset();
        client.close();
        expect_sound(client, rules::ends_in_any_state, one.name);
      }
  }
  // And in orders that clients choose.
  session client{at, ordinary_message()};
  for (auto which : {hook::connect, hook::helo, hook::helo, hook::auth, hook::helo})
    client.play({which, {}, {}});
  for (int i = 0; i < 3; ++i) {
    client.reset();
    client.play({hook::mail, {}, "sender@example.org"});
  }
  client.reset();
  client.reset();
  client.close();
  at.close();
}

void frees_sessions(context& run) {
  constexpr std::uint64_t octets_left_max = 48; // a session; less than what any state takes
  auto& at = open_desk(run);
  at.services().keep_no_logs();
  auto what = ordinary_message();
  auto sessions = run.pick(1500, 3000, 10'000);
  for (int i = 0; i < sessions / 3; ++i)
    one_session(at, what);
  auto before = heap_in_use();
  for (int i = 0; i < sessions; ++i)
    one_session(at, what);
  auto after = heap_in_use();
  auto grown = after > before ? after - before : 0;
  expect(grown <= octets_left_max * static_cast<std::uint64_t>(sessions), rules::ends_in_any_state,
         "{} sessions that have ended left {} bytes behind", sessions, grown);
  at.close();
}

void returns_buffers(context& run) {
  auto& at = open_desk(run);
  auto all = plain_samples(run);
  for (auto& one : odd_messages())
    all.push_back(one);
  for (auto& one : all) {
    auto steps = steps_of(one.message, 5000);
    session whole{at, one.message};
    whole.play(steps);
    whole.close();
    session cut{at, one.message};
    cut.play({steps.begin(), steps.end() - 1});
    cut.close();
  }
  at.close();
  auto left = host::buffers_alive();
  expect(left == 0, rules::buffer_references, "{} buffers are still held when the instance is gone", left);
}

void looks_at_nothing_later(context& run) {
  auto& at = open_desk(run, true);
  auto all = plain_samples(run);
  for (auto& one : odd_envelopes())
    all.push_back(one);
  for (auto& one : all) {
    session client{at, one.message};
    client.play(steps_of(one.message, 20));
    client.reset();
    client.close();
    at.services().wait(*at.deliver(one.message));
  }
  at.close();
  expect(!lent_memory::looked_at_later(), rules::borrowed, "what a hook was shown was looked at after its completion");
}

void completes_what_is_cancelled(context& run) {
  auto& at = open_desk(run);
  for (auto& one : plain_samples(run))
    for (auto& last : steps_of(one.message)) {
      session client{at, one.message};
      for (auto& each : steps_of(one.message)) {
        if (each.which != last.which) {
          client.play(each);
          continue;
        }
        auto op = client.begin(each, each.which != hook::end);
        if (op != nullptr) {
          op->cancelled = true;
          if (run.provider().cancel != nullptr && !at.is_completed(*op))
            run.provider().cancel(at.life().raw(), op.get());
          at.services().wait(*op);
        }
        break;
      }
      client.close();
    }
  at.close();
}

void answers_before_it_stops(context& run) {
  auto& at = open_desk(run);
  std::vector<std::unique_ptr<session>> clients;
  std::vector<op_pointer> ops;
  auto samples = plain_samples(run);
  std::vector<step> last;
  for (std::size_t i = 0; i < 80; ++i) {
    auto& what = samples[i % samples.size()].message;
    auto& client = *clients.emplace_back(std::make_unique<session>(at, what));
    // Up to another step in each, up to MAIL in the last ones.
    auto steps = steps_of(what);
    auto mail = std::ranges::find(steps, hook::mail, &step::which) - steps.begin();
    auto end = i < 60 ? static_cast<std::ptrdiff_t>(i % steps.size()) : mail;
    client.play({steps.begin(), steps.begin() + end});
    last.push_back(steps[static_cast<std::size_t>(end)]);
  }
  for (std::size_t i = 0; i < clients.size(); ++i)
    if (auto op = clients[i]->begin(last[i]))
      ops.push_back(op); // in flight
  at.close([&] {
    {
      std::lock_guard guard{at.services().mutex()};
      for (auto& one : ops)
        expect(one->completions > 0, rules::completes_stop, "stop() was completed before a hook was");
    }
    for (auto& one : clients)
      one->close();
  });
}

} // namespace hedwig::check::filter
