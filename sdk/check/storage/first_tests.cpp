// SPDX-License-Identifier: Apache-2.0
// What must hold before anything else can be judged.
#include "sdk/check/storage/rules.hpp"
#include "sdk/check/storage/store.hpp"
#include "sdk/check/storage/tests.hpp"
#include "sdk/check/test.hpp"

namespace hedwig::check::storage {

using namespace std::chrono_literals;

void completes_once(context& run) {
  auto& store = open_store(run);
  auto put = store.make_put(id_of(1), body_of(1, 3000), "metadata");
  expect_status(store.run(put), HEDWIG_OK, rules::acknowledged_survives, "PUT");
  auto stage = store.make_stage();
  expect_status(store.run(stage), HEDWIG_OK, rules::stage_is_named, "STAGE");
  std::vector<op_pointer> several{
      store.make_append(stage->got.stage, "some"),
      store.make_put(id_of(2), "a body", "metadata"),
      store.make_message(HEDWIG_STORAGE_STAT, id_of(1)),
      store.make_message(HEDWIG_STORAGE_READ, id_of(1)),
      store.make_message(HEDWIG_STORAGE_STAT, id_of(99)),
      store.make_message(HEDWIG_STORAGE_READ, id_of(99)),
      store.make_list(HEDWIG_STORAGE_LIST, every_state, 10),
      store.make_claim(every_state, 0, 1h, 10),
      store.make(HEDWIG_STORAGE_STATS),
      store.make_move(id_of(1), 1, HEDWIG_STATE_DEFERRED, 5),
      store.make_move(id_of(99), 1, HEDWIG_STATE_DEFERRED, 5),
      store.make_message(HEDWIG_STORAGE_REMOVE, id_of(99)),
      store.make(77),
  };
  store.submit(several);
  store.wait(several);
  auto discard = store.make_discard(stage->got.stage);
  expect_status(store.run(discard), HEDWIG_OK, rules::discard_drops, "DISCARD");
  expect_status(store.remove(id_of(1)), HEDWIG_OK, rules::remove_absent, "REMOVE");
  store.close(); // stop() is the last moment for a second completion
}

void gives_back(context& run) {
  auto& store = open_store(run);
  std::uint64_t number = 0;
  for (std::size_t size : {0u, 1u, 100u, 4095u, 4096u, 4097u, 65536u, 262143u, 262144u, 262145u, 1'000'000u}) {
    auto body = body_of(++number, size);
    auto metadata = fmt::format("metadata of {}", number);
    auto due = static_cast<hedwig_time_ns>(number * 1000);
    auto state = static_cast<std::uint32_t>(1 + number % (HEDWIG_STATE_COUNT - 1));
    auto put = store.put(id_of(number), body, metadata, state, due);
    expect_status(put, HEDWIG_OK, rules::acknowledged_survives, fmt::format("PUT of a body of {} bytes", size));
    expect(put.revision == 1, rules::put_revision, "a PUT has revision {}", put.revision);
    expect_message(store, {number, body, metadata, state, due}, rules::put_is_one_step);
    auto read = store.read_all(id_of(number), put.hint);
    expect_status(read, HEDWIG_OK, rules::put_is_one_step, "READ with the PUT's hint");
    expect(read.body == body, rules::put_is_one_step, "body read with the PUT's hint: {}", difference(read.body, body));
    expect(read.body_size == size, rules::put_is_one_step, "READ says body_size {} instead of {}", read.body_size,
           size);
  }
  expect_status(store.put(id_of(++number), "x", ""), HEDWIG_OK, rules::metadata_size, "PUT without metadata");
  expect_message(store, {number, "x", ""}, rules::metadata_size);
  std::string zeros("\0meta\0data\xFF", 11);
  expect_status(store.put(id_of(++number), zeros, zeros), HEDWIG_OK, rules::metadata_size, "PUT of any bytes");
  expect_message(store, {number, zeros, zeros}, rules::metadata_size);
}

} // namespace hedwig::check::storage
