// SPDX-License-Identifier: Apache-2.0
#include "runtime/base/memory_budget.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace hedwig {
namespace {

constexpr memory_limits generous{.total = 1000, .received = 1000, .kept = 1000};

TEST(memory_budget, counts_who_holds_what_and_forgets_nothing) {
  memory_budget budget{generous};
  {
    memory_reservation one{budget, memory_user::sessions};
    ASSERT_TRUE(one.grow(100));
    memory_reservation other{budget, memory_user::deliveries};
    ASSERT_TRUE(other.grow(50));
    auto seen = budget.ledger();
    EXPECT_EQ(seen.of(memory_user::sessions), 100u);
    EXPECT_EQ(seen.of(memory_user::deliveries), 50u);
    EXPECT_EQ(seen.total, 150u);
    EXPECT_EQ(seen.limit, 1000u);
    one.shrink(30);
    EXPECT_EQ(budget.ledger().total, 80u);
  }
  EXPECT_EQ(budget.ledger().total, 0u);
  EXPECT_EQ(budget.ledger().peak, 150u);
  EXPECT_EQ(budget.ledger().refused, 0u);
}

TEST(memory_budget, leaves_a_quarter_to_deliveries_whatever_is_received) {
  memory_budget budget{generous};
  memory_reservation received{budget, memory_user::sessions};
  EXPECT_FALSE(received.grow(751));
  EXPECT_EQ(received.bytes(), 0u);
  EXPECT_TRUE(received.grow(750));
  memory_reservation out{budget, memory_user::deliveries};
  EXPECT_TRUE(out.grow(250));
  EXPECT_FALSE(out.grow(251));
  EXPECT_EQ(budget.ledger().total, 1000u);
  EXPECT_EQ(budget.ledger().refused, 2u);
}

TEST(memory_budget, leaves_a_quarter_to_what_is_received_whatever_is_kept_and_delivered) {
  memory_budget budget{generous};
  memory_reservation kept{budget, memory_user::caches};
  EXPECT_FALSE(kept.grow(501));
  EXPECT_TRUE(kept.grow(500));
  memory_reservation out{budget, memory_user::deliveries};
  EXPECT_TRUE(out.grow(250));
  memory_reservation received{budget, memory_user::sessions};
  EXPECT_TRUE(received.grow(250));
  EXPECT_FALSE(received.grow(251));
  EXPECT_EQ(budget.ledger().total, 1000u);
}

TEST(memory_budget, has_limits_of_its_own_for_what_is_received_and_kept) {
  memory_budget budget{{.total = 1000, .received = 100, .kept = 10}};
  memory_reservation received{budget, memory_user::sessions};
  EXPECT_TRUE(received.grow(60));
  EXPECT_EQ(budget.most(memory_user::sessions), 100u) << "whoever holds what";
  EXPECT_EQ(budget.most(memory_user::deliveries), 250u);
  EXPECT_EQ((memory_budget{{.total = 1000, .received = 800, .kept = 10}}.most(memory_user::sessions)), 750u);
  memory_reservation committing{budget, memory_user::spooler};
  EXPECT_FALSE(committing.grow(41));
  EXPECT_TRUE(committing.grow(40));
  memory_reservation kept{budget, memory_user::caches};
  EXPECT_FALSE(kept.grow(11));
  EXPECT_TRUE(kept.grow(10));
}

TEST(memory_budget, passes_bytes_on_without_a_moment_in_which_they_are_nobodys) {
  memory_budget budget{{.total = 1000, .received = 100, .kept = 10}};
  memory_reservation one{budget, memory_user::sessions};
  ASSERT_TRUE(one.grow(100));
  EXPECT_TRUE(one.pass_to(memory_user::spooler)) << "the same limit covers both";
  EXPECT_FALSE(one.pass_to(memory_user::caches));
  EXPECT_EQ(budget.used(memory_user::spooler), 100u);
  auto part = one.split(10);
  EXPECT_TRUE(part.pass_to(memory_user::caches));
  auto seen = budget.ledger();
  EXPECT_EQ(seen.of(memory_user::sessions), 0u);
  EXPECT_EQ(seen.of(memory_user::spooler), 90u);
  EXPECT_EQ(seen.of(memory_user::caches), 10u);
  EXPECT_EQ(seen.total, 100u);
  EXPECT_EQ(seen.peak, 100u);
}

TEST(memory_budget, takes_nothing_away_when_its_limit_falls_and_gives_nothing_until_it_fits) {
  memory_budget budget{generous};
  memory_reservation one{budget, memory_user::sessions};
  ASSERT_TRUE(one.grow(500));
  budget.set_limits({.total = 400, .received = 400, .kept = 400});
  EXPECT_EQ(one.bytes(), 500u);
  EXPECT_FALSE(one.grow(501));
  one.shrink(200);
  EXPECT_TRUE(one.grow(300));
}

TEST(memory_budget, gives_anyway_what_is_of_our_own_making) {
  memory_budget budget{{.total = 100, .received = 10, .kept = 10}};
  memory_reservation one{budget, memory_user::spooler};
  one.grow_anyway(50);
  EXPECT_EQ(budget.ledger().total, 50u);
  EXPECT_EQ(budget.ledger().refused, 0u);
  one.release();
  EXPECT_EQ(budget.ledger().total, 0u);
}

TEST(memory_budget, never_exceeds_its_limit_under_many_threads_and_ends_at_nothing) {
  memory_budget budget{{.total = 1000, .received = 700, .kept = 300}};
  std::atomic<bool> exceeded{false};
  auto work = [&](memory_user user) {
    for (int i = 0; i < 20'000; ++i) {
      memory_reservation mine{budget, user};
      if (mine.grow(static_cast<std::uint64_t>(i % 97)) && user == memory_user::sessions &&
          mine.pass_to(memory_user::spooler))
        static_cast<void>(mine.pass_to(memory_user::caches));
      if (budget.ledger().total > 1000)
        exceeded = true;
    }
  };
  std::vector<std::thread> threads;
  for (auto user : {memory_user::sessions, memory_user::sessions, memory_user::caches, memory_user::deliveries})
    threads.emplace_back(work, user);
  for (auto& one : threads)
    one.join();
  EXPECT_FALSE(exceeded);
  auto seen = budget.ledger();
  EXPECT_EQ(seen.total, 0u);
  for (auto used : seen.used)
    EXPECT_EQ(used, 0u);
  EXPECT_LE(seen.peak, 1000u);
}

TEST(memory_reservation, moves_and_ends_once) {
  memory_budget budget{generous};
  memory_reservation one{budget, memory_user::sessions};
  ASSERT_TRUE(one.grow(10));
  memory_reservation other{std::move(one)};
  EXPECT_EQ(other.bytes(), 10u);
  memory_reservation third{budget, memory_user::sessions};
  ASSERT_TRUE(third.grow(5));
  third = std::move(other);
  EXPECT_EQ(budget.ledger().total, 10u);
  third.release();
  EXPECT_EQ(budget.ledger().total, 0u);
  memory_reservation nobodys;
  EXPECT_FALSE(nobodys.grow(1));
  EXPECT_TRUE(nobodys.grow(0));
}

} // namespace
} // namespace hedwig
