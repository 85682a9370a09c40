// SPDX-License-Identifier: Apache-2.0
// Much at once, and much in one.
#include <set>

#include "sdk/check/storage/rules.hpp"
#include "sdk/check/storage/store.hpp"
#include "sdk/check/storage/tests.hpp"
#include "sdk/check/test.hpp"

namespace hedwig::check::storage {

namespace {

constexpr std::size_t mebibyte = std::size_t{1} << 20;

std::size_t size_of_put(std::uint64_t number) { return 200 + number * 31 % 1800; }

void check_listed(store& from, std::uint64_t puts) {
  std::set<std::uint64_t> found;
  for (auto& one : from.list_all(every_state, 1000)) {
    auto number = number_of(one.id);
    expect(found.insert(number).second, rules::list_once, "message {} is listed twice", number);
    expect(one.metadata == std::to_string(number), rules::acknowledged_survives, "message {} has the metadata of {}",
           number, one.metadata);
    expect(one.body_size == size_of_put(number), rules::acknowledged_survives, "message {} has {} bytes instead of {}",
           number, one.body_size, size_of_put(number));
  }
  expect(found.size() == puts, rules::acknowledged_survives, "{} messages of {} acknowledged PUTs", found.size(), puts);
}

/// The largest body the store takes, up to 64 MiB (16 in a short run).
std::size_t large_size(const context& run, const store& at) {
  auto wanted = run.pick(16, 64, 64) * mebibyte;
  auto most = at.limits().body_size_max;
  return most == 0 || most > wanted ? wanted : static_cast<std::size_t>(most);
}

void expect_body(store& from, std::uint64_t number, std::string_view body, const rule& which) {
  auto read = from.read_all(id_of(number));
  expect_status(read, HEDWIG_OK, which, fmt::format("READ of {} bytes", body.size()));
  expect(read.body == body, which, "body of {} bytes: {}", body.size(), difference(read.body, body));
}

} // namespace

void takes_ten_thousand_at_once(context& run) {
  auto& store = open_store(run);
  constexpr std::uint64_t puts = 10'000;
  std::vector<op_pointer> ops;
  for (std::uint64_t i = 1; i <= puts; ++i)
    ops.push_back(store.make_put(id_of(i), body_of(i, size_of_put(i)), std::to_string(i), HEDWIG_STATE_QUEUED,
                                 static_cast<hedwig_time_ns>(mixed(i) % 1000)));
  store.submit(ops);
  store.wait(ops);
  for (auto& one : ops)
    expect_status(one->got, HEDWIG_OK, rules::any_order, "one of 10,000 PUTs");
  ops.clear();
  check_listed(store, puts);
  store.reopen();
  check_listed(store, puts);
  for (std::uint64_t i = 1; i <= puts; i += 97)
    expect_body(store, i, body_of(i, size_of_put(i)), rules::acknowledged_survives);
  store.close();
}

void keeps_large_bodies(context& run) {
  auto& store = open_store(run);
  auto size = large_size(run, store);
  auto whole = body_of(1, size), staged = body_of(2, size);
  expect_status(store.put(id_of(1), whole), HEDWIG_OK, rules::acknowledged_survives,
                fmt::format("PUT of {} bytes in slices", size));
  auto stage = store.run(store.make_stage(size)).stage;
  for (std::size_t at = 0; at < size; at += mebibyte / 4)
    expect_status(store.run(store.make_append(stage, std::string_view{staged}.substr(at, mebibyte / 4))), HEDWIG_OK,
                  rules::append_completes, fmt::format("APPEND at {}", at));
  expect_status(store.run(store.make_put(id_of(2), "", "staged", HEDWIG_STATE_QUEUED, 1000, stage)), HEDWIG_OK,
                rules::body_is_stage_then_slices, fmt::format("PUT of a stage of {} bytes", size));
  for (int round = 0; round < 2; ++round) {
    expect_body(store, 1, whole, rules::acknowledged_survives);
    expect_body(store, 2, staged, rules::body_is_stage_then_slices);
    if (round == 0)
      store.reopen();
  }
  expect_status(store.remove(id_of(1)), HEDWIG_OK, rules::remove_absent, "REMOVE of a large message");
  expect_body(store, 2, staged, rules::body_is_stage_then_slices);
  store.close();
}

} // namespace hedwig::check::storage
