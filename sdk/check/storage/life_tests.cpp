// SPDX-License-Identifier: Apache-2.0
// Stages, and the life of a store: stop, cancel, restart, limits.
#include "sdk/check/storage/rules.hpp"
#include "sdk/check/storage/store.hpp"
#include "sdk/check/storage/tests.hpp"
#include "sdk/check/test.hpp"

namespace hedwig::check::storage {

namespace {

using namespace std::chrono_literals;

std::uint64_t begin_stage(store& at, std::uint64_t size_hint = 0) {
  auto got = at.run(at.make_stage(size_hint));
  expect_status(got, HEDWIG_OK, rules::stage_is_named, "STAGE");
  return got.stage;
}

void append(store& to, std::uint64_t stage, std::string_view text) {
  expect_status(to.run(to.make_append(stage, text)), HEDWIG_OK, rules::append_completes,
                fmt::format("APPEND of {} bytes", text.size()));
}

} // namespace

void publishes_stages(context& run) {
  auto& store = open_store(run);
  auto body = body_of(3, 900'001);
  auto stage = begin_stage(store, body.size());
  std::size_t at = 0;
  for (std::size_t piece : {1u, 300'000u, 262'144u, 5u, 0u, 100'000u}) {
    append(store, stage, std::string_view{body}.substr(at, piece));
    at += piece;
  }
  expect(store.list_all().empty(), rules::put_is_one_step, "a stage is listed before its PUT");
  auto put = store.make_put(id_of(3), std::string_view{body}.substr(at), "metadata", HEDWIG_STATE_QUEUED, 1000, stage);
  expect_status(store.run(put), HEDWIG_OK, rules::body_is_stage_then_slices, "PUT of a stage and slices");
  expect_message(store, {3, body, "metadata"}, rules::body_is_stage_then_slices);
  auto again = store.run(store.make_put(id_of(4), "", "", HEDWIG_STATE_QUEUED, 1000, stage));
  expect_status(again, HEDWIG_E_NOT_FOUND, rules::stage_is_consumed, "a second PUT of a stage");
  auto whole = begin_stage(store);
  append(store, whole, body);
  expect_status(store.run(store.make_put(id_of(5), "", "five", HEDWIG_STATE_HELD, 9, whole)), HEDWIG_OK,
                rules::body_is_stage_then_slices, "PUT of a stage without slices");
  auto empty = begin_stage(store);
  expect_status(store.run(store.make_put(id_of(6), "", "six", HEDWIG_STATE_HELD, 9, empty)), HEDWIG_OK,
                rules::body_is_stage_then_slices, "PUT of an empty stage");
  expect_status(store.run(store.make_move(id_of(3), 1, HEDWIG_STATE_DEFERRED, 5)), HEDWIG_OK, rules::move_together,
                "MOVE");
  store.reopen();
  expect_message(store, {3, body, "metadata", HEDWIG_STATE_DEFERRED, 5, 2}, rules::body_is_stage_then_slices);
  expect_message(store, {5, body, "five", HEDWIG_STATE_HELD, 9}, rules::body_is_stage_then_slices);
  expect_message(store, {6, "", "six", HEDWIG_STATE_HELD, 9}, rules::body_is_stage_then_slices);
  expect_status(store.remove(id_of(3)), HEDWIG_OK, rules::remove_absent, "REMOVE");
  expect_status(store.read_all(id_of(3)), HEDWIG_E_NOT_FOUND, rules::remove_absent, "READ of a removed message");
}

void consumes_stages_either_way(context& run) {
  auto& store = open_store(run);
  expect_status(store.put(id_of(1), "first"), HEDWIG_OK, rules::acknowledged_survives, "PUT");
  auto stage = begin_stage(store);
  append(store, stage, "second");
  auto retry = store.make_put(id_of(1), "", "", HEDWIG_STATE_QUEUED, 1000, stage);
  retry->request.put.flags = HEDWIG_PUT_RETRY;
  if (store.run(retry).status != HEDWIG_E_EXISTS)
    throw skipped{"a retried PUT does not fail, which storage.put-retry judges"};
  expect_status(store.run(store.make_append(stage, "x")), HEDWIG_E_NOT_FOUND, rules::stage_is_consumed,
                "APPEND to a stage whose PUT failed");
  expect_message(store, {1, "first", "metadata"}, rules::put_retry_exists);
}

void drops_stages(context& run) {
  auto& store = open_store(run);
  auto first = begin_stage(store), second = begin_stage(store);
  expect(first != second, rules::stage_is_named, "two stages have the number {}", first);
  auto megabyte = body_of(1, 1 << 20);
  append(store, first, megabyte);
  append(store, second, megabyte);
  expect_status(store.run(store.make_discard(first)), HEDWIG_OK, rules::discard_drops, "DISCARD");
  expect_status(store.run(store.make_append(first, "x")), HEDWIG_E_NOT_FOUND, rules::discard_drops,
                "APPEND to a discarded stage");
  store.reopen();
  expect_status(store.run(store.make_append(second, "x")), HEDWIG_E_NOT_FOUND, rules::stages_left_behind,
                "APPEND to a stage of the time before start()");
  expect(store.list_all().empty(), rules::stages_left_behind, "a stage left behind is listed");
  auto third = begin_stage(store);
  append(store, third, "fresh");
  expect_status(store.run(store.make_put(id_of(1), "", "", HEDWIG_STATE_QUEUED, 1000, third)), HEDWIG_OK,
                rules::body_is_stage_then_slices, "PUT of a stage");
  expect_message(store, {1, "fresh", ""}, rules::stages_left_behind);
}

void keeps_all_when_reopened(context& run) {
  auto& store = open_store(run);
  for (std::uint64_t number = 1; number <= 60; ++number)
    expect_status(store.put(id_of(number), body_of(number, number * 997), fmt::format("metadata {}", number)),
                  HEDWIG_OK, rules::acknowledged_survives, "PUT");
  for (std::uint64_t number = 1; number <= 60; number += 3)
    expect_status(store.run(store.make_move_with(id_of(number), 1, HEDWIG_STATE_DEFERRED, 5, "moved")), HEDWIG_OK,
                  rules::acknowledged_survives, "MOVE");
  for (std::uint64_t number = 2; number <= 60; number += 3)
    expect_status(store.remove(id_of(number)), HEDWIG_OK, rules::acknowledged_survives, "REMOVE");
  for (int round = 0; round < 2; ++round) {
    store.reopen();
    for (std::uint64_t number = 1; number <= 60; ++number) {
      if (number % 3 == 2)
        expect_status(store.stat(id_of(number)), HEDWIG_E_NOT_FOUND, rules::acknowledged_survives,
                      fmt::format("STAT of message {}, removed before the restart,", number));
      else if (number % 3 == 1)
        expect_message(store, {number, body_of(number, number * 997), "moved", HEDWIG_STATE_DEFERRED, 5, 2},
                       rules::acknowledged_survives);
      else
        expect_message(store, {number, body_of(number, number * 997), fmt::format("metadata {}", number)},
                       rules::acknowledged_survives);
    }
    auto listed = store.list_all().size();
    expect(listed == 40, rules::acknowledged_survives, "{} entries are listed after a restart instead of 40", listed);
  }
}

void answers_before_it_stops(context& run) {
  auto& store = open_store(run);
  std::vector<op_pointer> ops;
  for (std::uint64_t i = 1; i <= 300; ++i) {
    ops.push_back(store.make_put(id_of(i), body_of(i, 2000), "metadata"));
    ops.push_back(store.make_message(HEDWIG_STORAGE_REMOVE, id_of(1000 + i)));
    ops.back()->request.message.flags = i % 2 != 0 ? HEDWIG_REMOVE_RIDE : 0;
    ops.push_back(store.make_list(HEDWIG_STORAGE_LIST, every_state, 1));
    ops.push_back(store.make_stage());
  }
  store.submit(ops);
  store.close();
  std::size_t acknowledged = 0;
  for (auto& one : ops) {
    expect(one->completions == 1, rules::completes_stop, "a request was not completed when stop() was");
    acknowledged += one->kind == HEDWIG_STORAGE_PUT && one->got.status == HEDWIG_OK;
  }
  if (store.is_volatile())
    return;
  store.open();
  auto found = store.list_all().size();
  expect(found == acknowledged, rules::acknowledged_survives, "{} messages after a stop that acknowledged {}", found,
         acknowledged);
}

void completes_what_is_cancelled(context& run) {
  auto& store = open_store(run);
  std::vector<op_pointer> ops;
  for (std::uint64_t i = 1; i <= 200; ++i)
    ops.push_back(store.make_put(id_of(i), body_of(i, 2000), "metadata"));
  ops.push_back(store.make_list(HEDWIG_STORAGE_LIST, every_state, 1));
  store.submit(ops);
  for (auto& one : ops) {
    one->cancelled = true;
    if (run.provider().cancel != nullptr && one->completions == 0)
      run.provider().cancel(store.life().raw(), one.get());
  }
  store.wait(ops);
  std::size_t acknowledged = 0;
  for (auto& one : ops) {
    expect(one->got.status == HEDWIG_OK || one->got.status == HEDWIG_E_CANCELLED, rules::cancel_is_advice,
           "a cancelled request was completed with {}: {}", name_of(one->got.status), one->got.error);
    acknowledged += one->kind == HEDWIG_STORAGE_PUT && one->got.status == HEDWIG_OK;
  }
  auto found = store.list_all().size();
  expect(found == acknowledged, rules::failed_write_unseen, "{} messages where {} PUTs were acknowledged", found,
         acknowledged);
  store.close();
}

void refuses_beyond_its_limit(context& run) {
  auto& store = open_store(run);
  if (store.is_blocking())
    throw skipped{"a BLOCKING store is given one array at a time"};
  constexpr std::uint32_t most = 200'000;
  auto limit = store.limits().in_flight;
  if (limit > most)
    throw skipped{fmt::format("the store wants {} requests at once", limit)};
  std::vector<op_pointer> ops;
  for (std::uint64_t i = 0; i < limit + 10; ++i)
    ops.push_back(store.make_message(HEDWIG_STORAGE_REMOVE, id_of(i + 1)));
  store.submit_beyond_limits(ops);
  store.wait(ops);
  std::size_t busy = 0;
  for (auto& one : ops) {
    expect(one->got.status == HEDWIG_OK || one->got.status == HEDWIG_E_BUSY, rules::in_flight,
           "one of {} requests at once was completed with {}", ops.size(), name_of(one->got.status));
    busy += one->got.status == HEDWIG_E_BUSY;
  }
  expect(busy < 11, rules::in_flight, "{} of {} requests at once were refused, the limit being {}", busy, ops.size(),
         limit);
  expect_status(store.put(id_of(1), "x"), HEDWIG_OK, rules::in_flight, "PUT after BUSY");
  store.close();
}

} // namespace hedwig::check::storage
