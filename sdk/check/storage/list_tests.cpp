// SPDX-License-Identifier: Apache-2.0
// LIST, CLAIM, leases and STATS.
#include <algorithm>
#include <map>
#include <set>

#include "sdk/check/storage/rules.hpp"
#include "sdk/check/storage/store.hpp"
#include "sdk/check/storage/tests.hpp"
#include "sdk/check/test.hpp"

namespace hedwig::check::storage {

namespace {

using namespace std::chrono_literals;

constexpr auto queued = HEDWIG_STATE_MASK(HEDWIG_STATE_QUEUED);
constexpr auto deferred = HEDWIG_STATE_MASK(HEDWIG_STATE_DEFERRED);

void put(store& to, std::uint64_t number, std::uint32_t state, hedwig_time_ns due) {
  expect_status(to.put(id_of(number), fmt::format("body {}", number), fmt::format("metadata {}", number), state, due),
                HEDWIG_OK, rules::acknowledged_survives, fmt::format("PUT of message {}", number));
}

/// "3 1 2", for a person.
std::string numbers(const std::vector<entry_copy>& entries) {
  std::string text;
  for (auto& one : entries)
    text += fmt::format("{}{}", text.empty() ? "" : " ", number_of(one.id));
  return text.empty() ? "nothing" : text;
}

void expect_numbers(const std::vector<entry_copy>& got, std::string_view wanted, const rule& which,
                    std::string_view asked) {
  expect(numbers(got) == wanted, which, "{} brings {} instead of {}", asked, numbers(got), wanted);
}

/// 40 messages whose due times are neither in the order of their ids nor all different.
struct sample {
  std::uint64_t number;
  std::uint32_t state;
  hedwig_time_ns due;
};
std::vector<sample> fill(store& to) {
  std::vector<sample> all;
  for (std::uint64_t number = 1; number <= 40; ++number)
    all.push_back({number, static_cast<std::uint32_t>(1 + number % 5),
                   static_cast<hedwig_time_ns>(1000 + (number * 17) % 23 * 100)});
  auto in_any_order = all;
  std::ranges::sort(in_any_order, {}, [](auto& one) { return mixed(one.number); });
  for (auto& one : in_any_order)
    put(to, one.number, one.state, one.due);
  return all;
}

std::string wanted_of(std::vector<sample> all, std::uint32_t states, hedwig_time_ns due_before, bool by_receipt) {
  std::erase_if(all, [&](auto& one) {
    return (HEDWIG_STATE_MASK(one.state) & states) == 0 || (due_before != 0 && one.due >= due_before);
  });
  std::ranges::sort(all, {}, [&](auto& one) { return std::pair{by_receipt ? 0 : one.due, one.number}; });
  std::vector<entry_copy> entries;
  for (auto& one : all)
    entries.push_back({id_of(one.number)});
  return numbers(entries);
}

} // namespace

void lists_in_order(context& run) {
  auto& store = open_store(run);
  expect(store.list_all().empty(), rules::list_end, "an empty store lists entries");
  auto all = fill(store);
  for (std::uint32_t limit : {1u, 7u, 40u, 1000u})
    for (auto states : {every_state, queued, queued | deferred, 0u})
      for (hedwig_time_ns due_before : {0, 1, 2000, 1000'000})
        for (auto flags : {0u, HEDWIG_LIST_BY_RECEIPT}) {
          auto asked = fmt::format("LIST of states {:#x}, flags {}, due before {}, by pages of {},", states, flags,
                                   due_before, limit);
          expect_numbers(store.list_all(states, limit, flags, due_before),
                         wanted_of(all, states, due_before, flags != 0),
                         due_before != 0 ? rules::list_due_before : rules::list_order, asked);
        }
}

void lists_what_is_asked(context& run) {
  auto& store = open_store(run);
  auto all = fill(store);
  for (auto flags : {0u, unsigned{HEDWIG_LIST_METADATA}})
    for (auto& one : store.list_all(every_state, 9, flags)) {
      auto number = number_of(one.id);
      auto& wanted = all.at(number - 1);
      expect(one.state == wanted.state && one.due == wanted.due && one.revision == 1, rules::list_states,
             "message {} is listed with state {}, due {}, revision {}", number, one.state, one.due, one.revision);
      auto body = fmt::format("body {}", number);
      expect(one.body_size == body.size(), rules::list_states, "message {} is listed with {} bytes instead of {}",
             number, one.body_size, body.size());
      if (flags != 0)
        expect(one.metadata == fmt::format("metadata {}", number), rules::list_metadata,
               "message {} is listed with the metadata \"{}\"", number, one.metadata);
    }
  auto page = store.run(store.make_list(HEDWIG_STORAGE_LIST, every_state, 5));
  expect(page.entries.size() <= 5, rules::list_page, "a page of {} entries, where 5 was the limit",
         page.entries.size());
}

void lists_while_writing(context& run) {
  auto& store = open_store(run);
  std::set<std::uint64_t> staying;
  for (std::uint64_t number = 1; number <= 60; ++number) {
    put(store, number, HEDWIG_STATE_QUEUED, static_cast<hedwig_time_ns>(number * 10));
    staying.insert(number);
  }
  dice random{run.seed()};
  std::uint64_t guest = 1000;
  std::vector<op_pointer> guests;
  for (auto flags : {0u, HEDWIG_LIST_BY_RECEIPT}) {
    std::map<std::uint64_t, int> seen;
    std::string cursor;
    do {
      // Guests of any due time come and go while the page is read.
      auto due = static_cast<hedwig_time_ns>(random.below(700));
      guests.push_back(store.make_put(id_of(guest), "y", "guest", HEDWIG_STATE_QUEUED, due));
      if (guest > 1001) {
        expect_status(store.wait(guests[guests.size() - 3]), HEDWIG_OK, rules::acknowledged_survives, "PUT or REMOVE");
        guests.push_back(store.make_message(HEDWIG_STORAGE_REMOVE, id_of(guest - 2)));
        store.submit({guests[guests.size() - 2]});
      }
      ++guest;
      store.submit({guests.back()});
      auto page = store.run(store.make_list(HEDWIG_STORAGE_LIST, queued, 7, cursor, flags));
      expect_status(page, HEDWIG_OK, rules::list_once, "LIST");
      for (auto& one : page.entries)
        ++seen[number_of(one.id)];
      cursor = page.cursor;
      store.wait(guests);
    } while (!cursor.empty());
    for (auto number : staying)
      expect(seen[number] == 1, rules::list_once, "message {} was there throughout the walk and was seen {} times",
             number, seen[number]);
  }
}

void sees_what_is_older(context& run) {
  auto& store = open_store(run);
  put(store, 1, HEDWIG_STATE_QUEUED, 1000);
  expect_numbers(store.list_all(queued), "1", rules::seen_at_once, "LIST");
  put(store, 2, HEDWIG_STATE_QUEUED, 500);
  auto both = store.list_all(queued); // their order is another test's matter
  std::ranges::sort(both, {}, [](auto& one) { return number_of(one.id); });
  expect_numbers(both, "1 2", rules::seen_at_once, "LIST after a PUT due earlier than all");
  store.remove(id_of(1));
  store.remove(id_of(2));
  expect_numbers(store.list_all(queued), "nothing", rules::seen_at_once, "LIST after all was removed");
  put(store, 3, HEDWIG_STATE_QUEUED, 1);
  expect_numbers(store.list_all(queued), "3", rules::seen_at_once, "LIST after a PUT due earlier than all before");
  expect_status(store.run(store.make_move(id_of(3), 1, HEDWIG_STATE_QUEUED, 5000)), HEDWIG_OK, rules::move_together,
                "MOVE");
  put(store, 4, HEDWIG_STATE_QUEUED, 3000);
  expect_numbers(store.claim_all(queued, 0, 1h), "4 3", rules::claim_oldest, "CLAIM");
  expect_status(store.run(store.make_move(id_of(3), 2, HEDWIG_STATE_QUEUED, 10)), HEDWIG_OK, rules::move_together,
                "MOVE");
  expect_numbers(store.claim_all(queued, 0, 1h), "3", rules::claim_oldest, "CLAIM after a MOVE to an earlier time");
}

void claims_once(context& run) {
  auto& store = open_store(run);
  auto all = fill(store);
  auto states = queued | deferred | HEDWIG_STATE_MASK(HEDWIG_STATE_HELD);
  auto first = store.claim_all(states, 2000, 1h, 3);
  auto rest = store.claim_all(states, 2000, 1h);
  auto both = first;
  both.insert(both.end(), rest.begin(), rest.end());
  expect_numbers(both, wanted_of(all, states, 2000, false), rules::claim_order, "CLAIM of 3, and of the rest,");
  expect_numbers(store.claim_all(states, 2000, 1h), "nothing", rules::claim_lease, "CLAIM of what is claimed");
  auto others = store.claim_all(every_state, 0, 1h, 1000);
  expect(both.size() + others.size() == all.size(), rules::claim_order, "CLAIM of everything claims {} of {} messages",
         both.size() + others.size(), all.size());
}

void claims_beside_each_other(context& run) {
  auto& store = open_store(run);
  constexpr std::uint64_t messages = 300;
  for (std::uint64_t number = 1; number <= messages; ++number)
    put(store, number, HEDWIG_STATE_QUEUED, static_cast<hedwig_time_ns>(number / 7));
  std::map<std::uint64_t, int> seen;
  std::uint64_t total = 0;
  for (int round = 0; round < 200 && total < messages; ++round) {
    std::vector<op_pointer> several;
    for (int i = 0; i < 8; ++i)
      several.push_back(store.make_claim(queued, 0, 1h, 11));
    store.submit(several);
    store.wait(several);
    for (auto& one : several) {
      expect_status(one->got, HEDWIG_OK, rules::claim_order, "CLAIM beside seven others");
      for (auto& entry : one->got.entries) {
        ++total;
        expect(++seen[number_of(entry.id)] == 1, rules::claim_lease, "message {} was claimed twice",
               number_of(entry.id));
      }
    }
  }
  expect(total == messages, rules::claim_order, "{} of {} messages were claimed", total, messages);
}

void leases_run_out(context& run) {
  auto& store = open_store(run);
  for (std::uint64_t number : {1u, 2u, 3u})
    put(store, number, HEDWIG_STATE_QUEUED, static_cast<hedwig_time_ns>(number));
  expect(store.claim_all(queued, 0, 90min, 2).size() == 2, rules::claim_order, "CLAIM of two brings another number");
  expect_numbers(store.claim_all(queued, 0, 4h), "3", rules::claim_lease, "CLAIM of what is left");
  auto flags = [&](std::uint64_t number) { return store.stat(id_of(number)).entries.at(0).flags; };
  expect((flags(1) & HEDWIG_ENTRY_CLAIMED) != 0, rules::claimed_flag, "a claimed message is not marked so");
  auto leases = store.stats().stats.leases;
  expect(leases >= 3, rules::stats_leases, "STATS counts {} leases while 3 run", leases);
  store.clock().advance(1h);
  expect_numbers(store.claim_all(queued, 0, 1h), "nothing", rules::leases_by_steady_clock,
                 "CLAIM an hour into leases of 90 minutes");
  store.clock().advance(1h);
  expect((flags(1) & HEDWIG_ENTRY_CLAIMED) == 0, rules::claimed_flag, "a lease that ran out is still marked");
  expect_numbers(store.claim_all(queued, 0, 4h), "1 2", rules::leases_by_steady_clock,
                 "CLAIM two hours into leases of 90 minutes");
}

void leases_ignore_the_wall_clock(context& run) {
  auto& store = open_store(run);
  put(store, 1, HEDWIG_STATE_QUEUED, 1);
  auto born = store.make_put(id_of(2), "x", "", HEDWIG_STATE_QUEUED, 2);
  born->request.put.lease_until = store.in(90min);
  expect_status(store.run(born), HEDWIG_OK, rules::put_born_claimed, "PUT with a lease");
  expect_numbers(store.claim_all(queued, 0, 90min), "1", rules::put_born_claimed, "CLAIM beside a born claim");
  store.clock().jump(24h);
  expect_numbers(store.claim_all(queued, 0, 90min), "nothing", rules::leases_by_steady_clock,
                 "CLAIM after the wall clock jumped a day ahead");
  store.clock().jump(-48h);
  store.clock().advance(2h);
  expect_numbers(store.claim_all(queued, 0, 90min), "1 2", rules::leases_by_steady_clock,
                 "CLAIM two hours into leases of 90 minutes, the wall clock set back a day,");
}

void writes_end_and_begin_leases(context& run) {
  auto& store = open_store(run);
  auto lease = store.make_put(id_of(1), "x", "", HEDWIG_STATE_QUEUED, 1);
  lease->request.put.lease_until = store.in(10h);
  expect_status(store.run(lease), HEDWIG_OK, rules::put_born_claimed, "PUT with a lease");
  expect_numbers(store.claim_all(every_state, 0, 1h), "nothing", rules::put_born_claimed, "CLAIM of a born claim");
  expect_status(store.run(store.make_move(id_of(1), 1, HEDWIG_STATE_DEFERRED, 5)), HEDWIG_OK, rules::move_lease,
                "MOVE");
  expect_numbers(store.claim_all(every_state, 0, 10h), "1", rules::move_lease, "CLAIM after a MOVE");
  auto keeping = store.make_move(id_of(1), 2, HEDWIG_STATE_DEFERRED, 6);
  keeping->request.move.lease_until = store.in(10h);
  expect_status(store.run(keeping), HEDWIG_OK, rules::move_lease, "MOVE with a lease");
  expect_numbers(store.claim_all(every_state, 0, 1h), "nothing", rules::move_lease, "CLAIM after a MOVE with a lease");
  auto failing = store.run(store.make_move(id_of(1), 1, HEDWIG_STATE_QUEUED, 1)); // another revision
  if (failing.status != HEDWIG_OK)
    expect_numbers(store.claim_all(every_state, 0, 1h), "nothing", rules::claim_lease,
                   "CLAIM after a MOVE that failed");
  expect_status(store.remove(id_of(1)), HEDWIG_OK, rules::remove_absent, "REMOVE");
  put(store, 1, HEDWIG_STATE_QUEUED, 1);
  expect_numbers(store.claim_all(every_state, 0, 10h), "1", rules::claim_lease,
                 "CLAIM of a message put again after it was removed under a lease");
  store.reopen();
  expect_numbers(store.claim_all(every_state, 0, 10h), "1", rules::claim_lease, "CLAIM after the next start()");
}

void counts_what_it_holds(context& run) {
  auto& store = open_store(run);
  auto all = fill(store);
  auto check = [&](std::string_view when) {
    auto stats = store.stats();
    expect(stats.states.size() >= HEDWIG_STATE_COUNT, rules::stats_by_state, "STATS has {} states",
           stats.states.size());
    for (std::uint32_t state = 1; state < HEDWIG_STATE_COUNT; ++state) {
      hedwig_state_stats wanted{};
      for (auto& one : all)
        if (one.state == state) {
          ++wanted.messages;
          wanted.bytes += fmt::format("body {}", one.number).size();
          wanted.oldest_due = wanted.oldest_due == 0 ? one.due : std::min(wanted.oldest_due, one.due);
        }
      auto& got = stats.states[state];
      expect(got.messages == wanted.messages && got.bytes == wanted.bytes, rules::stats_by_state,
             "STATS {}: state {} has {} messages of {} bytes instead of {} of {}", when, state, got.messages, got.bytes,
             wanted.messages, wanted.bytes);
      expect(got.oldest_due == wanted.oldest_due, rules::stats_oldest,
             "STATS {}: the oldest of state {} is due at {} instead of {}", when, state, got.oldest_due,
             wanted.oldest_due);
    }
  };
  check("after PUTs");
  for (auto& one : all)
    if (one.number % 3 == 0) {
      one.state = one.state % 5 + 1;
      one.due += 5000;
      expect_status(store.run(store.make_move(id_of(one.number), 1, one.state, one.due)), HEDWIG_OK,
                    rules::move_together, "MOVE");
    }
  check("after MOVEs");
  for (auto& one : all)
    if (one.number % 4 == 0)
      for (int twice = 0; twice < 2; ++twice)
        expect_status(store.remove(id_of(one.number)), HEDWIG_OK, rules::remove_absent, "REMOVE");
  std::erase_if(all, [](auto& one) { return one.number % 4 == 0; });
  check("after REMOVEs");
  expect_status(store.put(id_of(500), "refused", "", 99), HEDWIG_E_INVALID, rules::put_invalid, "PUT");
  check("after a refused PUT");
  store.reopen();
  check("after a restart");
}

} // namespace hedwig::check::storage
