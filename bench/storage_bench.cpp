// SPDX-License-Identifier: Apache-2.0
// What a store alone can do: 10 KiB messages put and removed again, a hundred in flight in two halves of fifty, the
// removals of one half riding with the puts of the next. Prints messages a second and CPU time a message of the store's
// threads (this program's own thread is taken off).
//
//   storage_bench PROVIDER FOLDER [SECONDS] [MESSAGES_IN_A_HALF] [KEY=VALUE ...]
#include <hedwig/plugin.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <sys/resource.h>

#include "tests/component/storage/store_client.hpp"

namespace {

using namespace hedwig::test;
using batch = std::vector<op_pointer>;

double cpu_seconds(int who) {
  rusage usage{};
  ::getrusage(who, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

double store_cpu() { return cpu_seconds(RUSAGE_SELF) - cpu_seconds(RUSAGE_THREAD); }

batch make_half(store_client& store, std::uint64_t& number, std::size_t count, const std::string& body) {
  batch puts;
  for (std::size_t i = 0; i < count; ++i, ++number)
    puts.push_back(store.make_put(id_of(number), body, "sender, recipients and their state, as the relay keeps them",
                                  HEDWIG_STATE_QUEUED, static_cast<hedwig_time_ns>(number)));
  return puts;
}

batch removals_of(store_client& store, const batch& puts) {
  batch removals;
  for (auto& one : puts) {
    removals.push_back(store.make_message(HEDWIG_STORAGE_REMOVE, one->request.put.id, one->got.hint));
    removals.back()->request.message.flags = HEDWIG_REMOVE_RIDE;
  }
  return removals;
}

void wait_for(store_client& store, const batch& ops) {
  for (auto& one : ops)
    if (store.wait(one).status != HEDWIG_OK) {
      std::fprintf(stderr, "%s\n", one->got.error.c_str());
      std::exit(1);
    }
}

hedwig_config config_of(int argc, char** argv) {
  hedwig_config config;
  config.texts["path"] = argv[2];
  for (int i = 5; i < argc; ++i) {
    std::string pair{argv[i]};
    auto at = pair.find('=');
    auto value = pair.substr(at + 1);
    if (value.find_first_not_of("0123456789") == std::string::npos)
      config.numbers[pair.substr(0, at)] = std::atoll(value.c_str());
    else
      config.texts[pair.substr(0, at)] = value;
  }
  return config;
}

} // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: storage_bench PROVIDER FOLDER [SECONDS] [MESSAGES_IN_A_HALF] [KEY=VALUE ...]\n");
    return 2;
  }
  auto seconds = argc > 3 ? std::atof(argv[3]) : 3.0;
  auto half = argc > 4 ? static_cast<std::size_t>(std::atoi(argv[4])) : 50;
  store_client store{plugin_file(argv[1]), config_of(argc, argv)};
  if (store.start() != HEDWIG_OK) {
    std::fprintf(stderr, "%s\n", store.error().c_str());
    return 1;
  }
  auto body = body_of(1, 10240);
  std::uint64_t number = 0;
  batch flying = make_half(store, number, half, body), removals;
  auto cpu = store_cpu();
  auto began = std::chrono::steady_clock::now();
  auto elapsed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count(); };
  store.submit(flying);
  while (elapsed() < seconds) {
    auto next = make_half(store, number, half, body);
    auto both = next;
    both.insert(both.begin(), removals.begin(), removals.end());
    store.submit(both);
    wait_for(store, flying);
    wait_for(store, removals);
    removals = removals_of(store, flying);
    flying = std::move(next);
  }
  wait_for(store, flying);
  auto took = elapsed();
  cpu = store_cpu() - cpu;
  auto stats = store.stats().stats;
  std::printf("%-8s %9.0f messages/s  %6.1f CPU us/message  %5.1f writes/commit  %.0f commits/s\n", argv[1],
              static_cast<double>(number) / took, cpu * 1e6 / static_cast<double>(number),
              static_cast<double>(stats.commit_writes) / static_cast<double>(stats.commits),
              static_cast<double>(stats.commits) / took);
}
