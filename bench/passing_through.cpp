// SPDX-License-Identifier: Apache-2.0
// Whether what was removed slows what is left: messages pass through a store, put and removed again; one of every
// `keep` stays. At each tenth of the way it prints what a page of LIST, the walk of all that is left and a CLAIM that
// finds nothing due cost then.
//
//   passing_through PROVIDER FOLDER MESSAGES [OCTETS] [KEEP]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/component/storage/store_client.hpp"

namespace {

using namespace hedwig::test;
using batch = std::vector<op_pointer>;
using steady = std::chrono::steady_clock;

constexpr std::uint64_t group = 500;
constexpr hedwig_time_ns second = 1'000'000'000;

void finish(store_client& store, const batch& ops) {
  for (auto& one : ops)
    if (store.wait(one).status != HEDWIG_OK) {
      std::fprintf(stderr, "%s\n", one->got.error.c_str());
      std::exit(1);
    }
}

template <class Work>
double milliseconds(Work work) {
  const auto began = steady::now();
  work();
  return std::chrono::duration<double, std::milli>(steady::now() - began).count();
}

void report(store_client& store, std::uint64_t passed, double took) {
  std::size_t left = 0;
  const auto page = milliseconds([&] { store.run(store.make_list(HEDWIG_STORAGE_LIST, every_state, 100)); });
  const auto walk = milliseconds([&] { left = store.list_all(every_state, 1000).size(); });
  const auto claim = milliseconds([&] { store.claim(every_state, second - 1, std::chrono::seconds{60}); });
  std::printf(
      "%9llu passed in %6.0f s: %6zu left; page of 100 %6.2f ms, walk of all %8.1f ms, claim of nothing %6.2f ms\n",
      static_cast<unsigned long long>(passed), took, left, page, walk, claim);
  std::fflush(stdout);
}

} // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: passing_through PROVIDER FOLDER MESSAGES [OCTETS] [KEEP]\n");
    return 2;
  }
  const auto messages = std::strtoull(argv[3], nullptr, 10);
  const auto body = body_of(1, argc > 4 ? std::strtoull(argv[4], nullptr, 10) : 1024);
  const auto keep = std::max(1ULL, argc > 5 ? std::strtoull(argv[5], nullptr, 10) : 5000);
  hedwig_config settings;
  settings.texts["path"] = argv[2];
  store_client store{plugin_file(argv[1]), settings};
  if (store.start() != HEDWIG_OK) {
    std::fprintf(stderr, "%s\n", store.error().c_str());
    return 1;
  }
  const auto began = steady::now();
  batch puts, removals;
  std::uint64_t reported = 0;
  for (std::uint64_t number = 0; number < messages;) {
    batch next, both = std::move(removals);
    for (std::uint64_t i = 0; i < group && number < messages; ++i, ++number)
      next.push_back(store.make_put(id_of(number), body, "sender, recipients and their state", HEDWIG_STATE_QUEUED,
                                    second + static_cast<hedwig_time_ns>(number)));
    const auto riding = both;
    both.insert(both.end(), next.begin(), next.end());
    store.submit(both);
    finish(store, puts);
    finish(store, riding);
    removals.clear();
    for (auto& one : puts)
      if (one->request.put.due % static_cast<hedwig_time_ns>(keep) != 0) {
        removals.push_back(store.make_message(HEDWIG_STORAGE_REMOVE, one->request.put.id, one->got.hint));
        removals.back()->request.message.flags = HEDWIG_REMOVE_RIDE;
      }
    puts = std::move(next);
    if (number * 10 / messages != reported) {
      reported = number * 10 / messages;
      report(store, number, std::chrono::duration<double>(steady::now() - began).count());
    }
  }
  store.submit(removals);
  finish(store, puts);
  finish(store, removals);
}
