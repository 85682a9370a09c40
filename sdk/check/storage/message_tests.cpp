// SPDX-License-Identifier: Apache-2.0
// One message: READ, MOVE, REMOVE, refusals, hints, buffers.
#include <cstring>

#include "sdk/check/storage/rules.hpp"
#include "sdk/check/storage/store.hpp"
#include "sdk/check/storage/tests.hpp"
#include "sdk/check/test.hpp"

namespace hedwig::check::storage {

namespace {

/// PUT, or broken.
answer put(store& to, std::uint64_t number, std::string_view body, std::string_view metadata = "metadata") {
  auto got = to.put(id_of(number), body, metadata);
  expect_status(got, HEDWIG_OK, rules::acknowledged_survives, fmt::format("PUT of message {}", number));
  return got;
}

op_pointer make_read(store& from, std::uint64_t number, std::uint64_t offset, std::uint64_t length) {
  auto one = from.make_message(HEDWIG_STORAGE_READ, id_of(number));
  one->request.message.offset = offset;
  one->request.message.length = length;
  return one;
}

} // namespace

void reads_ranges(context& run) {
  auto& store = open_store(run);
  auto body = body_of(1, 600'000);
  put(store, 1, body);
  put(store, 2, "");
  for (std::uint64_t offset : {0u, 1u, 4095u, 262143u, 262144u, 262145u, 524288u, 599'999u})
    for (std::uint64_t length : {0u, 1u, 1000u, 300'000u, 10'000'000u}) {
      auto got = store.run(make_read(store, 1, offset, length));
      auto asked = fmt::format("READ of {} bytes from {} of {}", length, offset, body.size());
      expect_status(got, HEDWIG_OK, rules::read_length, asked);
      expect(!got.body.empty(), rules::read_length, "{} brings nothing", asked);
      expect(length == 0 || got.body.size() <= length, rules::read_length, "{} brings {} bytes", asked,
             got.body.size());
      expect(got.body_size == body.size(), rules::read_length, "{} says body_size {}", asked, got.body_size);
      auto wanted = std::string_view{body}.substr(offset, got.body.size());
      expect(got.body == wanted, rules::read_length, "{}: {}", asked, difference(got.body, wanted));
    }
  for (auto [number, offset] : {std::pair{1u, 600'000u}, {1u, 600'001u}, {1u, UINT32_MAX}, {2u, 0u}, {2u, 7u}}) {
    auto got = store.run(make_read(store, number, offset, 0));
    expect_status(got, HEDWIG_OK, rules::read_beyond, fmt::format("READ from {}", offset));
    expect(got.body.empty(), rules::read_beyond, "READ from {} brings {} bytes", offset, got.body.size());
  }
  auto far = store.run(make_read(store, 1, UINT64_MAX - 10, UINT64_MAX));
  expect_status(far, HEDWIG_OK, rules::read_beyond, "READ from near 2^64");
}

void knows_no_absent_message(context& run) {
  auto& store = open_store(run);
  put(store, 1, "x");
  expect_status(store.stat(id_of(9)), HEDWIG_E_NOT_FOUND, rules::move_not_found, "STAT of no message");
  expect_status(store.read_all(id_of(9)), HEDWIG_E_NOT_FOUND, rules::move_not_found, "READ of no message");
  expect_status(store.run(store.make_move(id_of(9), 1, HEDWIG_STATE_HELD, 1)), HEDWIG_E_NOT_FOUND,
                rules::move_not_found, "MOVE of no message");
  expect_status(store.remove(id_of(9)), HEDWIG_OK, rules::remove_absent, "REMOVE of no message");
  expect_status(store.run(store.make_append(0x7777, "x")), HEDWIG_E_NOT_FOUND, rules::stage_is_consumed,
                "APPEND to no stage");
}

void refuses_breaches(context& run) {
  auto& store = open_store(run);
  auto refused = [&](const op_pointer& one, hedwig_status wanted, const rule& which, std::string_view asked) {
    expect_status(store.run(one), wanted, which, asked);
  };
  for (std::uint32_t kind : {0u, 12u, 99u, UINT32_MAX})
    refused(store.make(kind), HEDWIG_E_UNSUPPORTED, rules::unknown_kind, fmt::format("kind {}", kind));
  for (std::uint32_t state : {0u, unsigned{HEDWIG_STATE_COUNT}, 17u, UINT32_MAX})
    refused(store.make_put(id_of(1), "x", "", state), HEDWIG_E_INVALID, rules::put_invalid,
            fmt::format("PUT with state {}", state));
  auto flagged = store.make_put(id_of(1), "x", "");
  flagged->request.put.flags = 1u << 30;
  refused(flagged, HEDWIG_E_INVALID, rules::unknown_flags, "PUT with an unknown flag");
  auto brief = store.make_put(id_of(1), "x", "");
  brief->request.put.struct_size = offsetof(hedwig_put_request, id);
  refused(brief, HEDWIG_E_INVALID, rules::invalid_request, "PUT with a struct_size shorter than its fields");
  expect_status(store.stat(id_of(1)), HEDWIG_E_NOT_FOUND, rules::failed_write_unseen, "STAT after refused PUTs");
  put(store, 1, "x", "old");
  refused(store.make_move(id_of(1), 1, HEDWIG_STATE_COUNT, 1), HEDWIG_E_INVALID, rules::put_invalid,
          "MOVE to a state that does not exist");
  auto unlisted = store.make_list(HEDWIG_STORAGE_LIST, every_state, 10);
  unlisted->request.list.flags = 1u << 30;
  refused(unlisted, HEDWIG_E_INVALID, rules::unknown_flags, "LIST with an unknown flag");
  refused(store.make_list(HEDWIG_STORAGE_LIST, every_state, 10, "no cursor of this store's"), HEDWIG_E_INVALID,
          rules::list_cursor, "LIST with a cursor of somebody else's");
  expect_message(store, {1, "x", "old"}, rules::failed_write_unseen);
}

void metadata_up_to_a_mebibyte(context& run) {
  auto& store = open_store(run);
  auto large = body_of(5, HEDWIG_METADATA_MAX);
  put(store, 1, "x", large);
  expect_message(store, {1, "x", large}, rules::metadata_size);
  expect_status(store.put(id_of(2), "x", large + "m"), HEDWIG_E_INVALID, rules::put_invalid,
                "PUT with a mebibyte of metadata and one byte");
  expect_status(store.run(store.make_move_with(id_of(1), 1, HEDWIG_STATE_HELD, 5, large + "m")), HEDWIG_E_INVALID,
                rules::put_invalid, "MOVE with a mebibyte of metadata and one byte");
  auto other = body_of(6, HEDWIG_METADATA_MAX);
  expect_status(store.run(store.make_move_with(id_of(1), 1, HEDWIG_STATE_HELD, 5, other)), HEDWIG_OK,
                rules::metadata_size, "MOVE with a mebibyte of metadata");
  expect_message(store, {1, "x", other, HEDWIG_STATE_HELD, 5, 2}, rules::move_metadata);
}

void moves_compare_revisions(context& run) {
  auto& store = open_store(run);
  put(store, 1, "body", "old");
  auto moved = store.run(store.make_move_with(id_of(1), 1, HEDWIG_STATE_DEFERRED, 7, "new"));
  expect_status(moved, HEDWIG_OK, rules::move_compares, "MOVE from the revision of the PUT");
  expect(moved.revision == 2, rules::put_revision, "the MOVE from revision 1 brings {}", moved.revision);
  for (std::uint64_t revision : {1u, 3u, 0u, 1'000'000u}) {
    auto got = store.run(store.make_move_with(id_of(1), revision, HEDWIG_STATE_HELD, 9, "lost"));
    expect_status(got, HEDWIG_E_CONFLICT, rules::move_compares,
                  fmt::format("MOVE from revision {} of a message of revision 2", revision));
  }
  expect_message(store, {1, "body", "new", HEDWIG_STATE_DEFERRED, 7, 2}, rules::move_together);
  // Two in one array, each naming the revision that is the last one now: the second must see the first.
  std::uint64_t revision = 2;
  for (int round = 0; round < 5; ++round, ++revision) {
    auto next = store.run(store.make_move(id_of(1), revision, HEDWIG_STATE_QUEUED, 7));
    expect_status(next, HEDWIG_OK, rules::move_compares, "MOVE from the revision of the last MOVE");
    expect(next.revision == revision + 1, rules::put_revision, "the MOVE from revision {} brings {}", revision,
           next.revision);
  }
}

void moves_change_together(context& run) {
  auto& store = open_store(run);
  auto body = body_of(1, 5000);
  auto hint = put(store, 1, body, "first").hint;
  std::uint64_t revision = 1;
  std::string metadata = "first";
  hedwig_time_ns due = 1000;
  std::uint32_t state = HEDWIG_STATE_QUEUED;
  for (int round = 0; round < 24; ++round) {
    if (round % 3 != 0) // else to the same state
      state = state % (HEDWIG_STATE_COUNT - 1) + 1;
    if (round % 4 != 0) // else to the same due time
      due = 1000 + (round * 7919) % 5000;
    bool replaces = round % 2 != 0;
    auto fresh = std::string(static_cast<std::size_t>(round * 50), 'a') + std::to_string(round);
    auto move = replaces ? store.make_move_with(id_of(1), revision, state, due, fresh, hint)
                         : store.make_move(id_of(1), revision, state, due, hint);
    auto got = store.run(move);
    expect_status(got, HEDWIG_OK, rules::move_together, fmt::format("MOVE from revision {}", revision));
    hint = got.hint;
    ++revision;
    if (replaces)
      metadata = fresh;
    expect_message(store, {1, body, metadata, state, due, revision},
                   replaces ? rules::move_metadata : rules::move_together);
    expect(store.list_all().size() == 1, rules::move_together, "{} entries are listed of one message that moved",
           store.list_all().size());
  }
}

void removes_for_good(context& run) {
  auto& store = open_store(run);
  auto hint = put(store, 1, body_of(1, 5000)).hint;
  put(store, 2, body_of(2, 300'000));
  put(store, 3, "stays");
  expect_status(store.remove(id_of(1), hint), HEDWIG_OK, rules::remove_absent, "REMOVE with a hint");
  expect_status(store.remove(id_of(1)), HEDWIG_OK, rules::remove_absent, "a second REMOVE");
  expect_status(store.remove(id_of(2)), HEDWIG_OK, rules::remove_absent, "REMOVE without a hint");
  for (std::uint64_t number : {1u, 2u}) {
    expect_status(store.stat(id_of(number)), HEDWIG_E_NOT_FOUND, rules::seen_at_once, "STAT of a removed message");
    expect_status(store.read_all(id_of(number)), HEDWIG_E_NOT_FOUND, rules::seen_at_once, "READ of a removed message");
    expect_status(store.run(store.make_move(id_of(number), 1, HEDWIG_STATE_HELD, 1)), HEDWIG_E_NOT_FOUND,
                  rules::move_not_found, "MOVE of a removed message");
  }
  expect(store.list_all().size() == 1, rules::seen_at_once, "{} entries are listed where one is left",
         store.list_all().size());
  expect_message(store, {3, "stays", "metadata"}, rules::remove_absent);
}

void removes_compare_revisions(context& run) {
  auto& store = open_store(run);
  put(store, 1, "x");
  expect_status(store.run(store.make_move(id_of(1), 1, HEDWIG_STATE_QUEUED, 1000)), HEDWIG_OK, rules::move_compares,
                "MOVE");
  auto with = [&](std::uint64_t revision) {
    auto one = store.make_message(HEDWIG_STORAGE_REMOVE, id_of(1));
    one->request.message.revision = revision;
    return store.run(one);
  };
  for (std::uint64_t revision : {1u, 3u})
    expect_status(with(revision), HEDWIG_E_CONFLICT, rules::remove_revision,
                  fmt::format("REMOVE of revision {} of a message of revision 2", revision));
  expect_message(store, {1, "x", "metadata", HEDWIG_STATE_QUEUED, 1000, 2}, rules::remove_revision);
  expect_status(with(2), HEDWIG_OK, rules::remove_revision, "REMOVE of the right revision");
  expect_status(store.stat(id_of(1)), HEDWIG_E_NOT_FOUND, rules::seen_at_once, "STAT of a removed message");
}

void ridden_removals_complete(context& run) {
  auto& store = open_store(run);
  put(store, 1, "x");
  put(store, 2, "x");
  auto ride = [&](std::uint64_t number) {
    auto one = store.make_message(HEDWIG_STORAGE_REMOVE, id_of(number));
    one->request.message.flags = HEDWIG_REMOVE_RIDE;
    return one;
  };
  auto alone = ride(1);
  expect_status(store.run(alone), HEDWIG_OK, rules::remove_ride, "REMOVE_RIDE with nothing to ride on");
  auto second = ride(2);
  store.submit({second, store.make_put(id_of(3), "x", "metadata")});
  expect_status(store.wait(second), HEDWIG_OK, rules::remove_ride, "REMOVE_RIDE beside a PUT");
  for (std::uint64_t number : {1u, 2u})
    expect_status(store.stat(id_of(number)), HEDWIG_E_NOT_FOUND, rules::seen_at_once, "STAT of a removed message");
  store.close();
}

void retried_puts_exist(context& run) {
  auto& store = open_store(run);
  auto retry = [&](std::uint64_t number, std::string_view body) {
    auto one = store.make_put(id_of(number), body, "second");
    one->request.put.flags = HEDWIG_PUT_RETRY;
    return store.run(one);
  };
  put(store, 1, "first body", "first");
  expect_status(retry(1, "second body"), HEDWIG_E_EXISTS, rules::put_retry_exists, "a retry of a PUT that is there");
  expect_message(store, {1, "first body", "first"}, rules::put_retry_exists);
  expect_status(retry(2, "second body"), HEDWIG_OK, rules::put_retry_exists, "a retry of a PUT that is not there");
  expect_message(store, {2, "second body", "second"}, rules::put_retry_exists);
  // The first try and its retry in one array: the host lost patience, the store did both.
  auto first = store.make_put(id_of(3), "first body", "first");
  expect_status(store.run(first), HEDWIG_OK, rules::acknowledged_survives, "PUT");
  expect_status(store.run(store.make_move(id_of(3), 1, HEDWIG_STATE_HELD, 3)), HEDWIG_OK, rules::move_together, "MOVE");
  expect_status(retry(3, "second body"), HEDWIG_E_EXISTS, rules::put_retry_exists, "a retry after a MOVE");
  expect_message(store, {3, "first body", "first", HEDWIG_STATE_HELD, 3, 2}, rules::put_retry_exists);
}

void takes_no_harm_from_hints(context& run) {
  auto& store = open_store(run);
  const hedwig_storage_hint none{};
  auto first = put(store, 1, body_of(1, 3000)).hint;
  put(store, 2, body_of(2, 4000));
  auto listed = store.list_all();
  expect(listed.size() == 2, rules::list_once, "{} entries are listed of two", listed.size());
  for (auto& hint : {first, listed[0].hint, store.stat(id_of(1)).entries.at(0).hint, none}) {
    auto read = store.read_all(id_of(1), hint);
    expect_status(read, HEDWIG_OK, rules::hint_is_optional, "READ with a hint of PUT, LIST or STAT, or none");
    expect(read.body == body_of(1, 3000), rules::hint_is_optional, "body: {}", difference(read.body, body_of(1, 3000)));
  }
  auto moved = store.run(store.make_move(id_of(1), 1, HEDWIG_STATE_DEFERRED, 77, listed[0].hint));
  expect_status(moved, HEDWIG_OK, rules::hint_is_opaque, "MOVE with the hint of a LIST");
  auto again = store.run(store.make_move(id_of(1), 2, HEDWIG_STATE_DEFERRED, 78, none));
  expect_status(again, HEDWIG_OK, rules::hint_is_optional, "MOVE without a hint");
  expect_message(store, {1, body_of(1, 3000), "metadata", HEDWIG_STATE_DEFERRED, 78, 3}, rules::hint_is_optional);
  // A hint is believed, but not so far as to give or take what is another's.
  auto other = store.stat(id_of(2)).entries.at(0).hint;
  auto crossed = store.read_all(id_of(1), other);
  expect(crossed.body != body_of(2, 4000), rules::hint_is_opaque,
         "READ of message 1 with the hint of 2 brings 2's body");
  store.remove(id_of(9), other);
  expect_message(store, {2, body_of(2, 4000), "metadata"}, rules::hint_is_opaque);
  expect_status(store.remove(id_of(1), again.hint), HEDWIG_OK, rules::hint_is_opaque, "REMOVE with the last hint");
  expect_status(store.stat(id_of(1)), HEDWIG_E_NOT_FOUND, rules::seen_at_once, "STAT of a removed message");
  expect(store.list_all().size() == 1, rules::hint_is_opaque, "{} entries are listed where one is left",
         store.list_all().size());
}

void returns_buffers(context& run) {
  auto& store = open_store(run);
  for (std::uint64_t number = 1; number <= 20; ++number)
    put(store, number, body_of(number, number * 20'000));
  for (std::uint64_t number = 1; number <= 20; ++number)
    store.read_all(id_of(number));
  auto refused = store.make_put(id_of(1), body_of(1, 5000), "metadata", 17);
  store.run(refused);
  auto stage = store.run(store.make_stage()).stage;
  expect_status(store.run(store.make_append(stage, body_of(1, 100'000))), HEDWIG_OK, rules::append_completes, "APPEND");
  expect_status(store.run(store.make_discard(stage)), HEDWIG_OK, rules::discard_drops, "DISCARD");
  auto left = store.run(store.make_stage()).stage;
  expect_status(store.run(store.make_append(left, body_of(1, 100'000))), HEDWIG_OK, rules::append_completes, "APPEND");
  refused.reset();
  store.close();
  auto alive = host::buffers_alive();
  expect(alive == 0, rules::buffer_references, "{} buffers are still held after destroy()", alive);
}

} // namespace hedwig::check::storage
