// SPDX-License-Identifier: Apache-2.0
// What storage.h promises, over every store: the same sentences for each .so.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>

#include "tests/component/storage/store_client.hpp"
#include "tests/component/storage/temporary_folder.hpp"

namespace hedwig::test {

namespace {

using namespace std::chrono_literals;

bool same(const hedwig_msg_id& a, const hedwig_msg_id& b) { return std::memcmp(a.bytes, b.bytes, 16) == 0; }

class every_store : public testing::TestWithParam<const char*> {
protected:
  void SetUp() override { restart(); }
  void TearDown() override {
    store.reset();
    EXPECT_EQ(store_client::buffers_alive(), 0) << "a buffer was not released";
  }
  void restart() {
    store.reset();
    store = std::make_unique<store_client>(plugin_file(GetParam()), settings_for(GetParam(), folder.path()));
    ASSERT_EQ(store->start(), HEDWIG_OK) << store->error();
  }
  std::uint64_t count(std::uint32_t state) { return store->stats().states.at(state).messages; }

  temporary_folder folder;
  std::unique_ptr<store_client> store;
};

TEST_P(every_store, gives_back_what_was_put) {
  auto id = id_of(1);
  auto body = body_of(1, 10000);
  auto put = store->put(id, body, "sender and recipients", HEDWIG_STATE_QUEUED, 5000);
  ASSERT_EQ(put.status, HEDWIG_OK) << put.error;
  EXPECT_EQ(put.revision, 1u);
  for (auto& hint : {put.hint, hedwig_storage_hint{}}) {
    auto read = store->read_all(id, hint);
    EXPECT_EQ(read.status, HEDWIG_OK) << read.error;
    EXPECT_EQ(read.body_size, body.size());
    EXPECT_TRUE(read.body == body);
  }
  auto stat = store->stat(id);
  ASSERT_EQ(stat.status, HEDWIG_OK) << stat.error;
  auto& entry = stat.entries.at(0);
  EXPECT_EQ(entry.metadata, "sender and recipients");
  EXPECT_EQ(entry.state, unsigned{HEDWIG_STATE_QUEUED});
  EXPECT_EQ(entry.due, 5000);
  EXPECT_EQ(entry.body_size, body.size());
  EXPECT_EQ(entry.revision, 1u);
  EXPECT_EQ(std::memcmp(entry.hint.bytes, put.hint.bytes, 16), 0);
}

TEST_P(every_store, keeps_an_empty_body_and_empty_metadata) {
  ASSERT_EQ(store->put(id_of(1), "", "").status, HEDWIG_OK);
  auto read = store->read_all(id_of(1));
  EXPECT_EQ(read.status, HEDWIG_OK);
  EXPECT_EQ(read.body_size, 0u);
  EXPECT_EQ(store->stat(id_of(1)).entries.at(0).metadata, "");
}

TEST_P(every_store, keeps_metadata_of_a_mebibyte_and_refuses_more) {
  std::string large(HEDWIG_METADATA_MAX, 'm');
  ASSERT_EQ(store->put(id_of(1), "x", large).status, HEDWIG_OK);
  EXPECT_TRUE(store->stat(id_of(1)).entries.at(0).metadata == large);
  EXPECT_EQ(store->put(id_of(2), "x", large + "m").status, HEDWIG_E_INVALID);
}

TEST_P(every_store, reads_from_an_offset) {
  auto body = body_of(1, 600000); // more than two chunks
  auto put = store->put(id_of(1), body);
  for (std::uint64_t offset : {1u, 262143u, 262144u, 262145u, 599999u}) {
    auto one = store->make_message(HEDWIG_STORAGE_READ, id_of(1), put.hint);
    one->request.message.offset = offset;
    one->request.message.length = 1000;
    auto got = store->run(one);
    ASSERT_EQ(got.status, HEDWIG_OK) << got.error;
    ASSERT_FALSE(got.body.empty());
    EXPECT_LE(got.body.size(), 1000u);
    EXPECT_TRUE(got.body == body.substr(offset, got.body.size())) << offset;
  }
  auto past = store->make_message(HEDWIG_STORAGE_READ, id_of(1));
  past->request.message.offset = body.size();
  EXPECT_EQ(store->run(past).status, HEDWIG_OK);
  EXPECT_TRUE(past->got.body.empty());
}

TEST_P(every_store, knows_nothing_of_an_unknown_message) {
  EXPECT_EQ(store->stat(id_of(9)).status, HEDWIG_E_NOT_FOUND);
  EXPECT_EQ(store->read_all(id_of(9)).status, HEDWIG_E_NOT_FOUND);
  EXPECT_EQ(store->run(store->make_move(id_of(9), 1, HEDWIG_STATE_HELD, 1)).status, HEDWIG_E_NOT_FOUND);
  EXPECT_EQ(store->remove(id_of(9)).status, HEDWIG_OK) << "to remove what is absent is no failure";
}

TEST_P(every_store, refuses_what_breaks_the_contract) {
  EXPECT_EQ(store->run(store->make(99)).status, HEDWIG_E_UNSUPPORTED);
  EXPECT_EQ(store->put(id_of(1), "x", "", 17).status, HEDWIG_E_INVALID);
  auto unknown_flag = store->make_put(id_of(1), "x", "");
  unknown_flag->request.put.flags = 1u << 30;
  EXPECT_EQ(store->run(unknown_flag).status, HEDWIG_E_INVALID);
  auto short_one = store->make_put(id_of(1), "x", "");
  short_one->request.put.struct_size = 24;
  EXPECT_EQ(store->run(short_one).status, HEDWIG_E_INVALID);
  EXPECT_EQ(store->run(store->make_list(HEDWIG_STORAGE_LIST, queued, 10, "no cursor")).status, HEDWIG_E_INVALID);
}

TEST_P(every_store, moves_by_compare_and_swap) {
  auto id = id_of(1);
  auto hint = store->put(id, "body", "old").hint;
  auto move = store->make_move(id, 1, HEDWIG_STATE_DEFERRED, 7000);
  move->request.move.hint = hint;
  move->request.move.flags = HEDWIG_MOVE_METADATA;
  move->metadata = "new";
  move->request.move.metadata = {reinterpret_cast<const std::uint8_t*>(move->metadata.data()), 3};
  auto moved = store->run(move);
  ASSERT_EQ(moved.status, HEDWIG_OK) << moved.error;
  EXPECT_EQ(moved.revision, 2u);
  EXPECT_EQ(store->run(store->make_move(id, 1, HEDWIG_STATE_HELD, 1)).status, HEDWIG_E_CONFLICT);
  auto entry = store->stat(id).entries.at(0);
  EXPECT_EQ(entry.state, unsigned{HEDWIG_STATE_DEFERRED});
  EXPECT_EQ(entry.due, 7000);
  EXPECT_EQ(entry.metadata, "new");
  EXPECT_EQ(entry.revision, 2u);
  EXPECT_EQ(store->list_all(queued).size(), 0u);
  EXPECT_EQ(store->list_all(deferred).size(), 1u);
  EXPECT_EQ(store->read_all(id, moved.hint).body, "body");
}

TEST_P(every_store, keeps_the_metadata_when_a_move_brings_none) {
  auto id = id_of(1);
  store->put(id, "body", "kept");
  for (std::uint64_t revision = 1; revision < 6; ++revision) { // there and back, and on the spot
    auto state = revision % 2 != 0 ? HEDWIG_STATE_HELD : HEDWIG_STATE_QUEUED;
    ASSERT_EQ(store->run(store->make_move(id, revision, state, 1000)).revision, revision + 1);
  }
  ASSERT_EQ(store->run(store->make_move(id, 6, HEDWIG_STATE_HELD, 1000)).status, HEDWIG_OK);
  restart();
  auto entry = store->stat(id).entries.at(0);
  EXPECT_EQ(entry.metadata, "kept");
  EXPECT_EQ(entry.revision, 7u);
  EXPECT_EQ(entry.state, unsigned{HEDWIG_STATE_HELD});
  EXPECT_EQ(store->list_all(every_state).size(), 1u);
  EXPECT_EQ(store->read_all(id).body, "body");
}

TEST_P(every_store, removes_for_good) {
  auto with_hint = store->put(id_of(1), "one").hint;
  store->put(id_of(2), "two");
  EXPECT_EQ(store->remove(id_of(1), with_hint).status, HEDWIG_OK);
  EXPECT_EQ(store->remove(id_of(1), with_hint).status, HEDWIG_OK) << "a second time";
  EXPECT_EQ(store->remove(id_of(2)).status, HEDWIG_OK);
  EXPECT_EQ(count(HEDWIG_STATE_QUEUED), 0u);
  restart();
  EXPECT_EQ(store->list_all(every_state).size(), 0u);
  EXPECT_EQ(store->stat(id_of(1)).status, HEDWIG_E_NOT_FOUND);
  EXPECT_EQ(store->read_all(id_of(2)).status, HEDWIG_E_NOT_FOUND);
  EXPECT_EQ(count(HEDWIG_STATE_QUEUED), 0u);
}

TEST_P(every_store, removes_only_the_revision_that_was_named) {
  store->put(id_of(1), "one");
  auto remove = store->make_message(HEDWIG_STORAGE_REMOVE, id_of(1));
  remove->request.message.revision = 2;
  EXPECT_EQ(store->run(remove).status, HEDWIG_E_CONFLICT);
  EXPECT_EQ(store->stat(id_of(1)).status, HEDWIG_OK);
}

TEST_P(every_store, lets_a_removal_ride_within_a_second) {
  auto hint = store->put(id_of(1), "one").hint;
  auto ride = [&] {
    auto one = store->make_message(HEDWIG_STORAGE_REMOVE, id_of(1), hint);
    one->request.message.flags = HEDWIG_REMOVE_RIDE;
    return one;
  }();
  auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(store->run(ride).status, HEDWIG_OK);
  EXPECT_LT(std::chrono::steady_clock::now() - began, 2s); // a second, and this machine's slowness
  EXPECT_EQ(store->stat(id_of(1)).status, HEDWIG_E_NOT_FOUND);
}

TEST_P(every_store, commits_a_removal_that_rides_when_something_else_commits) {
  auto hint = store->put(id_of(1), "one").hint;
  auto ride = store->make_message(HEDWIG_STORAGE_REMOVE, id_of(1), hint);
  ride->request.message.flags = HEDWIG_REMOVE_RIDE;
  auto put = store->make_put(id_of(2), "two", "");
  store->submit({ride, put});
  EXPECT_EQ(store->wait(put).group_size, 2u);
  EXPECT_EQ(store->wait(ride).status, HEDWIG_OK);
}

TEST_P(every_store, finds_an_existing_id_when_a_put_is_repeated) {
  store->put(id_of(1), "first");
  auto again = store->make_put(id_of(1), "second", "");
  again->request.put.flags = HEDWIG_PUT_RETRY;
  EXPECT_EQ(store->run(again).status, HEDWIG_E_EXISTS);
  EXPECT_EQ(store->read_all(id_of(1)).body, "first");
  auto fresh = store->make_put(id_of(2), "second", "");
  fresh->request.put.flags = HEDWIG_PUT_RETRY;
  EXPECT_EQ(store->run(fresh).status, HEDWIG_OK);
}

TEST_P(every_store, lists_by_due_time_across_states) {
  std::map<hedwig_time_ns, std::uint64_t> expected;
  for (std::uint64_t i = 0; i < 60; ++i) {
    auto due = static_cast<hedwig_time_ns>((i * 37) % 61) - 5; // a few before the epoch
    expected[due] = i;
    ASSERT_EQ(
        store->put(id_of(i), "x", std::to_string(i), i % 2 != 0 ? HEDWIG_STATE_QUEUED : HEDWIG_STATE_DEFERRED, due)
            .status,
        HEDWIG_OK);
  }
  for (std::uint32_t limit : {1u, 7u, 100u}) {
    auto listed = store->list_all(queued | deferred, limit);
    ASSERT_EQ(listed.size(), expected.size()) << limit;
    auto at = expected.begin();
    for (auto& one : listed) {
      EXPECT_EQ(one.due, at->first);
      EXPECT_EQ(one.metadata, std::to_string(at->second));
      ++at;
    }
  }
  auto bounded = store->make_list(HEDWIG_STORAGE_LIST, every_state, 100);
  bounded->request.list.due_before = 10;
  EXPECT_EQ(store->run(bounded).entries.size(),
            static_cast<std::size_t>(std::distance(expected.begin(), expected.lower_bound(10))));
}

TEST_P(every_store, lists_by_receipt_in_order_of_the_ids) {
  for (std::uint64_t i : {5u, 3u, 9u, 1u})
    store->put(id_of(i), "x", "", HEDWIG_STATE_QUEUED, 100 - static_cast<hedwig_time_ns>(i));
  auto listed = store->list_all(every_state, 2, HEDWIG_LIST_BY_RECEIPT);
  ASSERT_EQ(listed.size(), 4u);
  std::size_t at = 0;
  for (std::uint64_t i : {1u, 3u, 5u, 9u})
    EXPECT_TRUE(same(listed[at++].id, id_of(i)));
  EXPECT_EQ(listed[0].metadata, "");
}

TEST_P(every_store, shows_each_staying_message_once_while_others_come_and_go) {
  std::set<std::string> staying;
  for (std::uint64_t i = 0; i < 50; ++i) {
    store->put(id_of(i), "x", "stays" + std::to_string(i), HEDWIG_STATE_QUEUED, static_cast<hedwig_time_ns>(i * 10));
    staying.insert("stays" + std::to_string(i));
  }
  for (auto flags : {HEDWIG_LIST_METADATA, HEDWIG_LIST_METADATA | HEDWIG_LIST_BY_RECEIPT}) {
    std::multiset<std::string> seen;
    std::string cursor;
    std::uint64_t other = 1000 + flags * 100;
    do {
      auto page = store->run(store->make_list(HEDWIG_STORAGE_LIST, queued, 7, cursor, flags));
      for (auto& one : page.entries)
        seen.insert(one.metadata);
      cursor = page.cursor;
      store->put(id_of(other), "y", "guest", HEDWIG_STATE_QUEUED, static_cast<hedwig_time_ns>(other * 7 % 500));
      store->remove(id_of(other++));
      store->put(id_of(other), "y", "guest", HEDWIG_STATE_QUEUED, static_cast<hedwig_time_ns>(other * 7 % 500));
      ++other;
    } while (!cursor.empty());
    for (auto& one : staying)
      EXPECT_EQ(seen.count(one), 1u) << one;
  }
}

TEST_P(every_store, claims_what_is_due_once) {
  for (std::uint64_t i = 0; i < 10; ++i)
    store->put(id_of(i), "x", "", HEDWIG_STATE_DEFERRED, static_cast<hedwig_time_ns>(i));
  auto first = store->claim(deferred, 5, 1h, 3);
  ASSERT_EQ(first.entries.size(), 3u);
  EXPECT_TRUE(same(first.entries[0].id, id_of(0)));
  auto second = store->claim(deferred, 5, 1h);
  EXPECT_EQ(second.entries.size(), 2u) << "only 3 and 4 are due and free";
  EXPECT_EQ(store->claim(deferred, 5, 1h).entries.size(), 0u);
  EXPECT_NE(store->stat(id_of(0)).entries.at(0).flags & HEDWIG_ENTRY_CLAIMED, 0u);
  EXPECT_EQ(store->stat(id_of(7)).entries.at(0).flags & HEDWIG_ENTRY_CLAIMED, 0u);
  store->advance(2h);
  EXPECT_EQ(store->claim(deferred, 5, 1h).entries.size(), 5u) << "the leases ran out";
}

TEST_P(every_store, ends_a_lease_with_a_move_and_begins_one_when_asked) {
  auto put = store->make_put(id_of(1), "x", "");
  put->request.put.lease_until = store->wall() + 3'600'000'000'000;
  ASSERT_EQ(store->run(put).status, HEDWIG_OK);
  EXPECT_EQ(store->claim(every_state, 0, 1h).entries.size(), 0u) << "born claimed";
  ASSERT_EQ(store->run(store->make_move(id_of(1), 1, HEDWIG_STATE_DEFERRED, 5)).status, HEDWIG_OK);
  EXPECT_EQ(store->claim(every_state, 0, 1h).entries.size(), 1u);
  auto keeping = store->make_move(id_of(1), 2, HEDWIG_STATE_DEFERRED, 6);
  keeping->request.move.lease_until = store->wall() + 3'600'000'000'000;
  ASSERT_EQ(store->run(keeping).status, HEDWIG_OK);
  EXPECT_EQ(store->claim(every_state, 0, 1h).entries.size(), 0u);
  auto losing = store->make_move(id_of(1), 1, HEDWIG_STATE_DEFERRED, 6);
  EXPECT_EQ(store->run(losing).status, HEDWIG_E_CONFLICT);
  EXPECT_EQ(store->claim(every_state, 0, 1h).entries.size(), 0u) << "a failed move changes nothing";
  restart();
  EXPECT_EQ(store->claim(every_state, 0, 1h).entries.size(), 1u) << "leases end with the process";
}

TEST_P(every_store, publishes_a_staged_body) {
  auto body = body_of(3, 900001);
  auto stage = store->run(store->make_append(HEDWIG_STORAGE_STAGE, 0)).stage;
  ASSERT_NE(stage, 0u);
  std::size_t at = 0;
  for (std::size_t piece : {1u, 300000u, 262144u, 5u, 100000u}) {
    ASSERT_EQ(store->run(store->make_append(HEDWIG_STORAGE_APPEND, stage, body.substr(at, piece))).status, HEDWIG_OK);
    at += piece;
  }
  EXPECT_EQ(store->list_all(every_state).size(), 0u) << "nothing is visible before the PUT";
  auto put = store->make_put(id_of(3), body.substr(at), "meta");
  put->request.put.stage = stage;
  auto hint = store->run(put).hint;
  ASSERT_EQ(put->got.status, HEDWIG_OK) << put->got.error;
  EXPECT_TRUE(store->read_all(id_of(3), hint).body == body);
  auto again = store->make_put(id_of(4), "", "");
  again->request.put.stage = stage;
  EXPECT_EQ(store->run(again).status, HEDWIG_E_NOT_FOUND) << "a stage is consumed";
  restart();
  EXPECT_TRUE(store->read_all(id_of(3)).body == body);
  EXPECT_EQ(store->stat(id_of(3)).entries.at(0).metadata, "meta");
  ASSERT_EQ(store->run(store->make_move(id_of(3), 1, HEDWIG_STATE_DEFERRED, 1)).status, HEDWIG_OK);
  EXPECT_TRUE(store->read_all(id_of(3)).body == body);
  EXPECT_EQ(store->remove(id_of(3), hint).status, HEDWIG_OK);
  EXPECT_EQ(store->read_all(id_of(3), hint).status, HEDWIG_E_NOT_FOUND);
}

TEST_P(every_store, drops_stages_that_are_discarded_or_left_behind) {
  auto first = store->run(store->make_append(HEDWIG_STORAGE_STAGE, 0)).stage;
  auto second = store->run(store->make_append(HEDWIG_STORAGE_STAGE, 0)).stage;
  EXPECT_NE(first, second);
  auto megabyte = body_of(1, 1 << 20);
  for (auto stage : {first, second})
    ASSERT_EQ(store->run(store->make_append(HEDWIG_STORAGE_APPEND, stage, megabyte)).status, HEDWIG_OK);
  EXPECT_EQ(store->run(store->make_append(HEDWIG_STORAGE_DISCARD, first)).status, HEDWIG_OK);
  EXPECT_EQ(store->run(store->make_append(HEDWIG_STORAGE_APPEND, first, "x")).status, HEDWIG_E_NOT_FOUND);
  restart();
  EXPECT_EQ(store->run(store->make_append(HEDWIG_STORAGE_APPEND, second, "x")).status, HEDWIG_E_NOT_FOUND);
  EXPECT_EQ(store->list_all(every_state).size(), 0u);
  auto third = store->run(store->make_append(HEDWIG_STORAGE_STAGE, 0)).stage;
  ASSERT_EQ(store->run(store->make_append(HEDWIG_STORAGE_APPEND, third, "fresh")).status, HEDWIG_OK);
  auto put = store->make_put(id_of(1), "", "");
  put->request.put.stage = third;
  ASSERT_EQ(store->run(put).status, HEDWIG_OK);
  EXPECT_EQ(store->read_all(id_of(1)).body, "fresh");
}

TEST_P(every_store, keeps_a_body_of_sixteen_mebibytes) {
  auto body = body_of(1, 16 << 20);
  ASSERT_EQ(store->put(id_of(1), body).status, HEDWIG_OK);
  restart();
  EXPECT_TRUE(store->read_all(id_of(1)).body == body);
}

TEST_P(every_store, counts_messages_and_bytes_and_knows_the_oldest) {
  store->put(id_of(1), "12345", "", HEDWIG_STATE_QUEUED, 30);
  store->put(id_of(2), "123", "", HEDWIG_STATE_QUEUED, 20);
  store->put(id_of(3), "1", "", HEDWIG_STATE_DEFERRED, 10);
  store->run(store->make_move(id_of(2), 1, HEDWIG_STATE_DEFERRED, 40));
  for (int round = 0; round < 2; ++round) {
    auto states = store->stats().states;
    ASSERT_EQ(states.size(), std::size_t{HEDWIG_STATE_COUNT});
    EXPECT_EQ(states[HEDWIG_STATE_QUEUED].messages, 1u);
    EXPECT_EQ(states[HEDWIG_STATE_QUEUED].bytes, 5u);
    EXPECT_EQ(states[HEDWIG_STATE_QUEUED].oldest_due, 30);
    EXPECT_EQ(states[HEDWIG_STATE_DEFERRED].messages, 2u);
    EXPECT_EQ(states[HEDWIG_STATE_DEFERRED].bytes, 4u);
    EXPECT_EQ(states[HEDWIG_STATE_DEFERRED].oldest_due, 10);
    restart();
  }
}

TEST_P(every_store, sees_what_is_older_than_all_that_a_walk_has_seen) {
  store->put(id_of(1), "x", "", HEDWIG_STATE_QUEUED, 1000);
  EXPECT_EQ(store->list_all(queued).size(), 1u);
  store->put(id_of(2), "x", "", HEDWIG_STATE_QUEUED, 500);
  EXPECT_EQ(store->list_all(queued).size(), 2u);
  store->remove(id_of(1));
  store->remove(id_of(2));
  EXPECT_EQ(store->list_all(queued).size(), 0u);
  store->put(id_of(3), "x", "", HEDWIG_STATE_QUEUED, 1);
  EXPECT_EQ(store->list_all(queued).size(), 1u);
}

TEST_P(every_store, commits_thousands_in_flight_as_groups) {
  constexpr std::uint64_t puts = 2500;
  std::vector<op_pointer> ops;
  for (std::uint64_t i = 0; i < puts; ++i)
    ops.push_back(store->make_put(id_of(i), body_of(i, 500 + i % 3000), std::to_string(i)));
  for (std::uint64_t i = 0; i < puts; i += 50)
    store->submit({ops.begin() + static_cast<std::ptrdiff_t>(i), ops.begin() + static_cast<std::ptrdiff_t>(i + 50)});
  std::uint32_t largest = 0;
  for (auto& one : ops) {
    ASSERT_EQ(store->wait(one).status, HEDWIG_OK) << one->got.error;
    largest = std::max(largest, one->got.group_size);
  }
  EXPECT_GT(largest, 1u);
  auto stats = store->stats().stats;
  EXPECT_LT(stats.commits, puts / 10);
  EXPECT_EQ(stats.commit_writes, puts);
  restart();
  EXPECT_EQ(store->list_all(queued).size(), puts);
  EXPECT_EQ(count(HEDWIG_STATE_QUEUED), puts);
  for (std::uint64_t i = 0; i < puts; i += 97)
    EXPECT_TRUE(store->read_all(id_of(i)).body == body_of(i, 500 + i % 3000)) << i;
}

TEST_P(every_store, refuses_more_than_its_limit_at_once_and_goes_on) {
  auto limit = store->limits().in_flight;
  std::vector<op_pointer> ops;
  for (std::uint64_t i = 0; i < limit + 10; ++i)
    ops.push_back(store->make_message(HEDWIG_STORAGE_REMOVE, id_of(i)));
  store->submit(ops);
  std::size_t busy = 0;
  for (auto& one : ops)
    busy += store->wait(one).status == HEDWIG_E_BUSY;
  EXPECT_GE(busy, 1u);
  EXPECT_EQ(store->put(id_of(1), "x").status, HEDWIG_OK);
}

TEST_P(every_store, answers_everything_before_it_stops) {
  std::vector<op_pointer> ops;
  for (std::uint64_t i = 0; i < 300; ++i) {
    ops.push_back(store->make_put(id_of(i), "x", ""));
    ops.push_back(store->make_message(HEDWIG_STORAGE_REMOVE, id_of(1000 + i)));
    ops.back()->request.message.flags = HEDWIG_REMOVE_RIDE;
    ops.push_back(store->make_list(HEDWIG_STORAGE_LIST, queued, 1));
  }
  store->submit(ops);
  store->stop();
  for (auto& one : ops) {
    EXPECT_EQ(one->completions.load(), 1);
    EXPECT_EQ(one->got.status, HEDWIG_OK) << one->got.error;
  }
  store = nullptr;
}

TEST_P(every_store, starts_again_after_a_stop) {
  store->put(id_of(1), "x");
  restart();
  EXPECT_EQ(store->put(id_of(2), "y").status, HEDWIG_OK);
  restart();
  EXPECT_EQ(store->list_all(every_state).size(), 2u);
}

TEST_P(every_store, refuses_a_second_instance_on_one_spool) {
  store_client second{plugin_file(GetParam()), settings_for(GetParam(), folder.path())};
  EXPECT_NE(second.start(), HEDWIG_OK);
  EXPECT_NE(second.error().find("another instance uses this spool"), std::string::npos) << second.error();
  EXPECT_NE(second.error().find(folder.path()), std::string::npos) << second.error();
}

TEST_P(every_store, acknowledges_nothing_in_a_folder_that_was_deleted_or_replaced) {
  if (std::string{GetParam()} == "sql_postgresql")
    GTEST_SKIP() << "its messages are on a server";
  namespace fs = std::filesystem;
  for (bool replaced : {false, true}) {
    auto path = folder.path() + (replaced ? "/replaced" : "/deleted");
    store.reset();
    store = std::make_unique<store_client>(plugin_file(GetParam()), settings_for(GetParam(), path));
    ASSERT_EQ(store->start(), HEDWIG_OK) << store->error();
    ASSERT_EQ(store->put(id_of(1), body_of(1, 5000)).status, HEDWIG_OK);
    fs::rename(path, path + ".away");
    if (replaced)
      fs::create_directory(path);
    EXPECT_EQ(store->put(id_of(2), body_of(2, 5000)).status, HEDWIG_E_IO);
    EXPECT_EQ(store->health(), HEDWIG_E_IO);
    if (replaced)
      fs::remove_all(path);
    fs::rename(path + ".away", path);
    EXPECT_EQ(store->put(id_of(3), body_of(3, 5000)).status, HEDWIG_E_IO) << "only a new start looks again";
    store->stop();
    store = std::make_unique<store_client>(plugin_file(GetParam()), settings_for(GetParam(), path));
    ASSERT_EQ(store->start(), HEDWIG_OK) << store->error();
    EXPECT_EQ(store->health(), HEDWIG_OK);
    EXPECT_TRUE(store->read_all(id_of(1)).body == body_of(1, 5000));
    EXPECT_EQ(store->put(id_of(4), body_of(4, 5000)).status, HEDWIG_OK);
  }
}

TEST_P(every_store, notices_without_any_mail_that_its_files_are_gone) {
  if (std::string{GetParam()} == "sql_postgresql")
    GTEST_SKIP() << "its messages are on a server";
  for (auto& one : std::filesystem::directory_iterator{folder.path()})
    std::filesystem::remove_all(one.path());
  EXPECT_TRUE(store->eventually([&] { return store->health() == HEDWIG_E_IO; }));
}

TEST_P(every_store, takes_no_mail_below_the_reserve_but_still_moves_and_removes) {
  if (std::string_view{GetParam()} == "sql_postgresql")
    GTEST_SKIP() << "the server's disk is its own";
  store->put(id_of(1), "x");
  store->put(id_of(2), "y");
  store.reset();
  auto settings = settings_for(GetParam(), folder.path());
  settings.numbers["disk_reserve"] = std::int64_t{1} << 50;
  store = std::make_unique<store_client>(plugin_file(GetParam()), settings);
  ASSERT_EQ(store->start(), HEDWIG_OK) << store->error();
  EXPECT_EQ(store->health(), HEDWIG_E_NO_SPACE);
  EXPECT_EQ(store->put(id_of(3), "z").status, HEDWIG_E_NO_SPACE);
  EXPECT_EQ(store->run(store->make_append(HEDWIG_STORAGE_STAGE, 0)).status, HEDWIG_E_NO_SPACE);
  EXPECT_EQ(store->run(store->make_move(id_of(1), 1, HEDWIG_STATE_DEFERRED, 1)).status, HEDWIG_OK);
  EXPECT_EQ(store->remove(id_of(2)).status, HEDWIG_OK);
  EXPECT_EQ(store->list_all(every_state).size(), 1u);
}

INSTANTIATE_TEST_SUITE_P(store, every_store, testing::Values(HEDWIG_TEST_STORES),
                         [](const auto& one) { return std::string{one.param}; });

} // namespace

} // namespace hedwig::test
