// SPDX-License-Identifier: Apache-2.0
// Kills a process that loads a store, at random points, and asks a fresh instance for everything acknowledged.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <random>
#include <set>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/component/storage/store_client.hpp"
#include "tests/component/storage/temporary_folder.hpp"

namespace hedwig::test {

namespace {

constexpr int rounds = 6;

struct acknowledged {
  std::set<std::uint64_t> put, moved, removal_asked, removed;
  std::uint64_t highest = 0;

  void take(char what, std::uint64_t number) {
    (what == 'P' ? put : what == 'M' ? moved : what == 'r' ? removal_asked : removed).insert(number);
    highest = std::max(highest, number);
  }
};

/// Runs the child until it has reported `reports` lines, kills it, and takes what it had reported by then.
void run_and_kill(const std::string& provider, const std::string& folder, std::size_t reports, acknowledged& all) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  auto first = std::to_string(all.highest + 1000);
  auto child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDOUT_FILENO);
    ::execl(HEDWIG_CRASH_CHILD, HEDWIG_CRASH_CHILD, provider.c_str(), folder.c_str(), first.c_str(), nullptr);
    ::_exit(127);
  }
  ::close(ends[1]);
  std::string lines;
  char some[4096];
  bool killed = false;
  for (ssize_t got; (got = ::read(ends[0], some, sizeof some)) > 0;) {
    lines.append(some, static_cast<std::size_t>(got));
    if (!killed && lines.size() >= reports * 9) {
      ::kill(child, SIGKILL);
      killed = true;
    }
  }
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(killed) << "the child ended by itself: " << status;
  for (std::size_t at = 0; at + 9 <= lines.size(); at += 9) {
    std::uint64_t number;
    std::memcpy(&number, lines.data() + at + 1, 8);
    all.take(lines[at], number);
  }
}

/// One message's STAT and READ, asked together with many others.
struct question {
  std::uint64_t number;
  op_pointer stat;
  op_pointer read; // every body here fits into one READ
};

void check_one(store_client& store, const question& asked, const acknowledged& all) {
  auto number = asked.number;
  auto stat = store.wait(asked.stat);
  auto read = store.wait(asked.read);
  if (all.removed.contains(number)) {
    EXPECT_EQ(stat.status, HEDWIG_E_NOT_FOUND) << number << " was removed";
    return;
  }
  if (stat.status == HEDWIG_E_NOT_FOUND && all.removal_asked.contains(number))
    return;
  ASSERT_EQ(stat.status, HEDWIG_OK) << number << ": " << stat.error;
  EXPECT_EQ(stat.entries.at(0).metadata, std::to_string(number));
  if (all.moved.contains(number)) {
    EXPECT_EQ(stat.entries.at(0).state, unsigned{HEDWIG_STATE_DEFERRED}) << number;
    EXPECT_EQ(stat.entries.at(0).revision, 2u) << number;
  }
  ASSERT_EQ(read.status, HEDWIG_OK) << number << ": " << read.error;
  EXPECT_TRUE(read.body == body_of(number, number % 5 == 0 ? 300000 : 2000 + number % 7000)) << number;
}

void check_all(store_client& store, const acknowledged& all) {
  constexpr std::size_t at_once = 200;
  std::vector<question> asked;
  auto answer_them = [&] {
    for (auto& one : asked)
      check_one(store, one, all);
    asked.clear();
  };
  for (auto number : all.put) {
    asked.push_back({number, store.make_message(HEDWIG_STORAGE_STAT, id_of(number)),
                     store.make_message(HEDWIG_STORAGE_READ, id_of(number))});
    store.submit({asked.back().stat, asked.back().read});
    if (asked.size() == at_once)
      answer_them();
  }
  answer_them();
}

/// What the store counts is what it lists, and every message it lists can be read.
void check_lists(store_client& store) {
  auto listed = store.list_all(every_state, 1000);
  std::uint64_t counted = 0;
  for (auto& state : store.stats().states)
    counted += state.messages;
  EXPECT_EQ(counted, listed.size());
  std::vector<op_pointer> reads;
  for (auto& one : listed)
    reads.push_back(store.make_message(HEDWIG_STORAGE_READ, one.id, one.hint));
  store.submit(reads);
  for (std::size_t i = 0; i < reads.size(); ++i)
    EXPECT_EQ(store.wait(reads[i]).body.size(), listed[i].body_size);
}

class killed_store : public testing::TestWithParam<const char*> {};

TEST_P(killed_store, keeps_everything_it_acknowledged) {
  temporary_folder folder;
  acknowledged all;
  std::mt19937 random{20250601}; // NOLINT: the same points every time, as far as the machine allows
  for (int round = 0; round < rounds; ++round) {
    run_and_kill(GetParam(), folder.path(), 1 + random() % 600, all);
    if (HasFatalFailure())
      return;
    store_client store{plugin_file(GetParam()), settings_for(GetParam(), folder.path())};
    ASSERT_EQ(store.start(), HEDWIG_OK) << store.error();
    check_all(store, all);
    check_lists(store);
  }
  std::printf("%s: %d kills, %zu put, %zu moved, %zu removed acknowledged, none lost\n", GetParam(), rounds,
              all.put.size(), all.moved.size(), all.removed.size());
}

INSTANTIATE_TEST_SUITE_P(store, killed_store, testing::Values(HEDWIG_TEST_STORES),
                         [](const auto& one) { return std::string{one.param}; });

} // namespace

} // namespace hedwig::test
