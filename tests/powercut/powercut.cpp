// SPDX-License-Identifier: Apache-2.0
// Cuts the power of a store: records a run of it, rebuilds what a disk would hold had the power gone at some point, and
// asks a fresh instance for everything that was acknowledged by then.
//   powercut [--store KIND]... [--messages N] [--runs N] [--points all|N] [--choices N] [--recoveries N] [--seed S]
//            [--lie none|files|folders|all] [--expect-loss]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <unordered_set>
#include <vector>

#include "tests/powercut/stores.hpp"

namespace {

using namespace hedwig::test;

struct options {
  std::vector<std::string> stores;
  std::size_t messages = 20;
  std::size_t runs = 1;
  std::size_t points = 0; ///< of each run; 0: every one
  std::size_t choices = 6;
  std::size_t recoveries = 25; ///< one crash in so many is followed by a crash of the recovery; 0: none
  std::uint64_t seed = 1;
  std::uint32_t lie = 0;
  bool expect_loss = false;
};

std::uint32_t parse_lie(const std::string& text) {
  if (text == "files")
    return call_fsync | call_fdatasync | call_syncfs;
  if (text == "folders")
    return call_fsync_folder;
  return text == "all" ? every_sync : 0;
}

options parse(int count, char** arguments) {
  options wanted;
  std::string lie;
  read_options(count, arguments,
               {.flags = {{"--expect-loss", &wanted.expect_loss}},
                .numbers = {{"--messages", &wanted.messages},
                            {"--runs", &wanted.runs},
                            {"--points", &wanted.points}, // "all" is 0
                            {"--choices", &wanted.choices},
                            {"--recoveries", &wanted.recoveries},
                            {"--seed", &wanted.seed}},
                .texts = {{"--lie", &lie}},
                .stores = &wanted.stores});
  wanted.lie = parse_lie(lie);
  return wanted;
}

disk_choice choice_of(std::size_t which, std::uint64_t seed) {
  using kind = disk_choice::kind;
  constexpr disk_choice cycle[] = {{kind::nothing, 512, 0},   {kind::prefix, 512, 0},  {kind::scattered, 4096, 0},
                                   {kind::scattered, 512, 0}, {kind::prefix, 4096, 0}, {kind::all, 512, 0}};
  auto one = cycle[which % std::size(cycle)];
  one.seed = seed;
  return one;
}

std::string name_of(const disk_choice& one) {
  constexpr const char* names[] = {"nothing", "all", "prefix", "scattered"};
  return std::string{names[static_cast<int>(one.what)]} + "/" + std::to_string(one.sector) + "/" +
         std::to_string(one.seed);
}

std::size_t hash_of(const disk_tree& tree) {
  std::size_t sum = 0;
  for (auto& [path, content] : tree)
    sum = sum * 1099511628211u + std::hash<std::string>{}(path)*31 + (content ? std::hash<std::string>{}(*content) : 7);
  return sum;
}

/// One store's trial.
class trial {
public:
  trial(const disk_api& disk, const options& wanted, std::string kind)
    : disk_{disk}, options_{wanted}, kind_{std::move(kind)} {}

  const verdicts& run() {
    for (std::size_t i = 0; i < options_.runs; ++i)
      one_run(options_.seed + i);
    return found_;
  }
  std::size_t operations() const { return operations_; }
  std::size_t crashes() const { return crashes_; }
  std::size_t recoveries() const { return recoveries_; }
  std::size_t acknowledged() const { return acknowledged_; }

private:
  void one_run(std::uint64_t seed) {
    scratch_folder disk, place;
    auto journal = place.path() + "/journal";
    disk_.watch(disk.path().c_str());
    disk_.record(journal.c_str());
    lie();
    {
      auto store = make_store(kind_, disk.path() + "/spool");
      load_settings settings;
      settings.messages = options_.messages;
      settings.in_flight = options_.messages > 100 ? 24 : 4;
      settings.seed = seed;
      if (store->start() != HEDWIG_OK)
        found_.note(found_.broken, kind_, "the store does not start: " + store->error());
      auto load = run_load(*store, disk_, settings);
      acknowledged_ += load.said.put.size();
      if (load.refused != 0)
        found_.note(found_.broken, kind_, "refused without a reason: " + load.first_error);
    }
    stop_recording();
    recorded_run run{journal, disk.path()};
    for (auto& what : run.forbidden())
      found_.note(found_.broken, kind_, "the journal cannot follow: " + what);
    operations_ += run.size();
    crash_all(run, seed);
  }

  void lie() const {
    fault_plan plan;
    plan.mode = options_.lie != 0 ? fault_mode::lie : fault_mode::none;
    plan.calls = options_.lie;
    plan.always = 1;
    disk_.inject(plan);
  }

  void stop_recording() const {
    disk_.record(nullptr);
    disk_.watch("");
    disk_.inject({});
  }

  void crash_all(const recorded_run& run, std::uint64_t seed) {
    std::mt19937_64 random{seed};
    auto count = options_.points == 0 ? run.size() + 1 : options_.points;
    for (std::size_t i = 0; i < count; ++i) {
      auto point = options_.points == 0 ? i : random() % (run.size() + 1);
      for (std::size_t which = 0; which < options_.choices; ++which) {
        // With fewer choices than there are, the first is always among them and the others take turns.
        auto kind = which == 0 ? 0 : which + i * (options_.choices - 1);
        if (options_.choices < 6 && which != 0)
          kind = 1 + (kind - 1) % 5;
        crash(run, point, choice_of(kind, seed * 1000 + which));
      }
    }
  }

  void crash(const recorded_run& run, std::size_t point, const disk_choice& choice) {
    auto tree = run.crash(point, choice);
    auto said = promises::before(run, point);
    auto same = hash_of(tree) + said.put.size() + said.moved.size() * 1000 + said.removal_asked.size() * 1000000 +
                said.removed.size() * 1000000000;
    ++crashes_;
    if (!seen_.insert(same).second)
      return; // a mark or a read stood between: the very disk that was looked at before
    auto where =
        kind_ + " at " + std::to_string(point) + " of " + std::to_string(run.size()) + " with " + name_of(choice);
    bool again = options_.recoveries != 0 && seen_.size() % options_.recoveries == 0;
    scratch_folder disk, place;
    write_tree(tree, disk.path());
    if (again) {
      disk_.watch(disk.path().c_str());
      disk_.record((place.path() + "/journal").c_str());
    }
    check_store(kind_, disk.path() + "/spool", said, where, seen_.size() % 8 == 0, found_);
    if (again)
      crash_recovery(place.path() + "/journal", disk.path(), tree, said, where);
  }

  /// The power goes again while the store recovers.
  void crash_recovery(const std::string& journal, const std::string& root, const disk_tree& before,
                      const promises& said, const std::string& where) {
    stop_recording();
    recorded_run run{journal, root, before};
    std::mt19937_64 random{run.size()};
    for (std::size_t which = 0; which < 6; ++which) {
      auto point = random() % (run.size() + 1);
      auto choice = choice_of(which, run.size());
      scratch_folder disk;
      write_tree(run.crash(point, choice), disk.path());
      ++recoveries_;
      check_store(kind_, disk.path() + "/spool", said,
                  where + ", then at " + std::to_string(point) + " of its recovery with " + name_of(choice), false,
                  found_);
    }
  }

  const disk_api& disk_;
  const options& options_;
  std::string kind_;
  verdicts found_;
  std::unordered_set<std::size_t> seen_;
  std::size_t operations_ = 0, crashes_ = 0, recoveries_ = 0, acknowledged_ = 0;
};

} // namespace

int main(int count, char** arguments) {
  auto& disk = need_shim(arguments);
  auto wanted = parse(count, arguments);
  std::printf("%-10s %8s %10s %9s %9s %9s %10s %5s %9s %8s %6s %9s %6s\n", "store", "messages", "operations", "crashes",
              "distinct", "recovery", "owed", "lost", "corrupted", "returned", "broken", "set aside", "s");
  bool good = true;
  for (auto& kind : wanted.stores) {
    auto begun = std::chrono::steady_clock::now();
    trial one{disk, wanted, kind};
    auto& found = one.run();
    std::printf("%-10s %8zu %10zu %9zu %9llu %9zu %10llu %5llu %9llu %8llu %6llu %9llu %6.1f\n", kind.c_str(),
                one.acknowledged(), one.operations(), one.crashes(), static_cast<unsigned long long>(found.opened),
                one.recoveries(), static_cast<unsigned long long>(found.owed),
                static_cast<unsigned long long>(found.lost), static_cast<unsigned long long>(found.corrupted),
                static_cast<unsigned long long>(found.returned), static_cast<unsigned long long>(found.broken),
                static_cast<unsigned long long>(found.set_aside),
                std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count());
    if (!wanted.expect_loss || found.lost == 0)
      for (auto& text : found.texts)
        std::printf("  %s\n", text.c_str());
    std::fflush(stdout);
    good = good && one.acknowledged() != 0 && (wanted.expect_loss ? found.lost != 0 : found.faults() == 0);
  }
  if (wanted.expect_loss && !good)
    std::printf("a disk that lies lost nothing: the check is worth nothing\n");
  return good ? 0 : 1;
}
