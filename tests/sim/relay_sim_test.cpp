// SPDX-License-Identifier: Apache-2.0
#include "runtime/telemetry/log.hpp"
#include "tests/sim/relay_sim.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <charconv>
#include <cstdlib>
#include <string_view>

namespace hedwig::sim {
namespace {

/// `--name=N` of the command line, else the environment variable, else `fallback`.
std::uint64_t number(std::string_view option, const char* variable, std::uint64_t fallback) {
  std::string text;
  if (auto* value = std::getenv(variable))
    text = value;
  for (auto& one : testing::internal::GetArgvs())
    if (one.starts_with(option))
      text = one.substr(option.size());
  std::from_chars(text.data(), text.data() + text.size(), fallback);
  return fallback;
}

std::string report(std::uint64_t seed, const sim_outcome& what) {
  auto text = fmt::format(
      "seed {} failed after {} steps, {} crashes, {} virtual seconds; replay: HEDWIG_SIM_SEED={} sim_relay\n", seed,
      what.steps, what.crashes, std::chrono::duration_cast<std::chrono::seconds>(what.virtual_time).count(), seed);
  for (auto& one : what.failures)
    text += "  " + one + "\n";
  return text;
}

void quiet() { telemetry::set_levels({.fallback = telemetry::level::off, .exceptions = {}}); }

TEST(relay_simulation, keeps_every_acknowledged_message_through_all_faults) {
  auto only = number("--seed=", "HEDWIG_SIM_SEED", 0);
  auto first = only != 0 ? only : number("--first=", "HEDWIG_SIM_FIRST", 1);
  auto count = only != 0 ? 1 : number("--seeds=", "HEDWIG_SIM_SEEDS", 1000);
  quiet();
  oracle::totals sum;
  std::uint64_t steps = 0, crashes = 0, cuts = 0, kills = 0, store_failures = 0, staged = 0, parts = 0, failed = 0;
  std::chrono::nanoseconds virtual_time{};
  for (auto seed = first; seed < first + count && failed < 10; ++seed) {
    auto outcome = relay_sim{{.seed = seed, .trace = only != 0}}.run();
    if (!outcome.failures.empty()) {
      ++failed;
      ADD_FAILURE() << report(seed, outcome);
    }
    sum.offered += outcome.totals.offered;
    sum.acknowledged += outcome.totals.acknowledged;
    sum.notifications += outcome.totals.notifications;
    sum.accepted += outcome.totals.accepted;
    sum.repeated += outcome.totals.repeated;
    sum.bounced += outcome.totals.bounced;
    sum.expired += outcome.totals.expired;
    steps += outcome.steps;
    crashes += outcome.crashes;
    cuts += outcome.cuts;
    kills += outcome.kills;
    store_failures += outcome.store_failures;
    staged += outcome.staged;
    parts += outcome.parts_read;
    virtual_time += outcome.virtual_time;
  }
  fmt::print(
      "{} seeds: {} messages offered, {} acknowledged, {} notifications; recipients: {} accepted by servers ({} "
      "repeated), "
      "{} bounced; {} steps, {} crashes, {} actors killed, {} cuts, {} failed requests of the store, {} messages "
      "staged, {} parts of bodies read, {} virtual days\n",
      count, sum.offered, sum.acknowledged, sum.notifications, sum.accepted, sum.repeated, sum.bounced, steps, crashes,
      kills, cuts, store_failures, staged, parts,
      std::chrono::duration_cast<std::chrono::hours>(virtual_time).count() / 24);
  // Runs in which nothing happens find nothing.
  if (count >= 100) {
    EXPECT_GT(sum.acknowledged, count);
    EXPECT_GT(sum.accepted, count);
    EXPECT_GT(sum.bounced, 0u);
    EXPECT_GT(sum.expired, 0u);
    EXPECT_GT(crashes, 0u);
    EXPECT_GT(cuts, 0u);
    EXPECT_GT(store_failures, 0u);
    EXPECT_GT(staged, 0u);
    EXPECT_GT(parts, 0u);
  }
}

TEST(relay_simulation, does_the_same_again_for_the_same_seed) {
  quiet();
  for (std::uint64_t seed : {3, 4, 5}) {
    auto once = relay_sim{{.seed = seed}}.run();
    auto twice = relay_sim{{.seed = seed}}.run();
    EXPECT_EQ(once.trace_hash, twice.trace_hash) << seed;
    EXPECT_EQ(once.steps, twice.steps) << seed;
  }
}

/// How many of some runs the oracle finds fault with.
std::size_t noticed(sim_options options) {
  quiet();
  std::size_t found = 0;
  for (options.seed = 1; options.seed <= 20; ++options.seed)
    found += !relay_sim{options}.run().failures.empty();
  return found;
}

TEST(oracle, notices_a_store_that_loses_what_it_committed) {
  EXPECT_GT(noticed({.lie = store_lie::loses_committed}), 5u);
}

TEST(oracle, notices_a_store_that_acknowledges_before_it_commits) {
  EXPECT_GT(noticed({.lie = store_lie::acknowledges_early}), 5u);
}

TEST(oracle, notices_a_store_that_forgets_who_got_a_message) {
  EXPECT_GT(noticed({.lie = store_lie::forgets_moves}), 0u);
}

TEST(oracle, notices_a_delivery_that_is_repeated_after_its_end) { EXPECT_GT(noticed({.server_repeats = true}), 5u); }

} // namespace
} // namespace hedwig::sim
