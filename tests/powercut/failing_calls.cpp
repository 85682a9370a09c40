// SPDX-License-Identifier: Apache-2.0
// Makes one file operation of a store fail, each in turn: the n-th open, write, rename, sync ... of a short run, with
// each error a disk may give, once or from then on. Nothing acknowledged may be lost, nothing refused may show, and the
// store either works again or says through health() that it does not; a fresh start finds everything, and so does one
// after a power cut that follows.
//   failing_calls [--store KIND]... [--messages N] [--every N] [--errors N] [--seed S] [--verbose]
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "tests/powercut/stores.hpp"

namespace {

using namespace hedwig::test;

struct options {
  std::vector<std::string> stores;
  std::size_t messages = 8;
  std::size_t every = 1;  ///< of all cases, each so many-th
  std::size_t waits = 20; ///< one case in so many waits for the store to come back by itself
  std::uint64_t seed = 1;
  bool verbose = false;
};

options parse(int count, char** arguments) {
  options wanted;
  read_options(count, arguments,
               {.flags = {{"--verbose", &wanted.verbose}},
                .numbers = {{"--messages", &wanted.messages},
                            {"--every", &wanted.every},
                            {"--waits", &wanted.waits},
                            {"--seed", &wanted.seed}},
                .texts = {},
                .stores = &wanted.stores});
  return wanted;
}

struct call_name {
  std::uint32_t call;
  const char* name;
};
constexpr call_name call_names[] = {
    {call_open, "open"},
    {call_write, "write"},
    {call_rename, "rename"},
    {call_fsync, "fsync"},
    {call_fdatasync, "fdatasync"},
    {call_syncfs, "syncfs"},
    {call_fsync_folder, "fsync of a folder"},
    {call_truncate, "truncate"},
    {call_mkdir, "mkdir"},
    {call_unlink, "unlink"},
    {call_allocate, "fallocate"},
    {call_read, "read"},
};

/// How one call fails.
struct failure_kind {
  const char* name;
  fault_mode mode;
  int error;
  bool always;
};
constexpr failure_kind failure_kinds[] = {
    {"EIO once", fault_mode::fail, EIO, false},
    {"ENOSPC once", fault_mode::fail, ENOSPC, false},
    {"EIO from then on", fault_mode::fail, EIO, true},
    {"ENOSPC from then on", fault_mode::fail, ENOSPC, true},
    {"EDQUOT once", fault_mode::fail, EDQUOT, false},
    {"EROFS, everything from then on", fault_mode::fail, EROFS, true},
    {"short, then ENOSPC", fault_mode::short_write, ENOSPC, false},
};

bool makes_sense(const failure_kind& how, std::uint32_t call) {
  if (how.mode == fault_mode::short_write)
    return call == call_write;
  if (call == call_read)
    return how.error == EIO;
  return how.error != EROFS || (every_change & call) != 0;
}

/// One store's trial.
class trial {
public:
  trial(const disk_api& disk, const options& wanted, std::string kind)
    : disk_{disk}, options_{wanted}, kind_{std::move(kind)} {}

  const verdicts& run() {
    for (auto& call : call_names)
      for (auto& how : failure_kinds)
        if (makes_sense(how, call.call) && !is_known(call.call))
          for (std::uint64_t nth = 1; one_case(call, how, nth); ++nth) {
          }
    hold();
    return found_;
  }
  std::size_t cases() const { return cases_; }
  std::size_t refused() const { return refused_; }
  std::size_t refused_to_start() const { return no_start_; }
  std::size_t need_restart() const { return restarts_; }
  std::size_t came_back() const { return came_back_; }

private:
  /// SQLite takes no notice when the sync of its folder fails: docs/known-issues.md.
  bool is_known(std::uint32_t call) const { return kind_ == "sql_sqlite" && call == call_fsync_folder; }

  /// False when there is no n-th call of that kind any more.
  bool one_case(const call_name& call, const failure_kind& how, std::uint64_t nth) {
    if (++counter_ % options_.every != options_.seed % options_.every && nth < known_calls(call.call))
      return true;
    auto where = kind_ + ", " + call.name + " " + std::to_string(nth) + ", " + how.name;
    if (options_.verbose)
      std::fprintf(stderr, "%s\n", where.c_str());
    scratch_folder disk, place;
    auto journal = place.path() + "/journal";
    disk_.watch(disk.path().c_str());
    disk_.record(journal.c_str());
    fault_plan plan;
    plan.mode = how.mode;
    plan.error = static_cast<std::uint32_t>(how.error);
    plan.calls = call.call;
    plan.always = how.always;
    plan.nth = nth;
    disk_.inject(plan);
    auto said = work(disk.path() + "/spool", where);
    auto struck = disk_.hits() != 0 || struck_;
    disk_.inject({});
    disk_.record(nullptr);
    disk_.watch("");
    if (struck) {
      ++cases_;
      recorded_run run{journal, disk.path()};
      check_store(kind_, disk.path() + "/spool", said, where + ", started again", false, found_);
      scratch_folder after;
      write_tree(run.crash(run.size(), {}), after.path());
      check_store(kind_, after.path() + "/spool", said, where + ", and a power cut", false, found_);
    }
    return struck;
  }

  /// How many calls of this kind a run without failures makes, about.
  std::uint64_t known_calls(std::uint32_t call) {
    if (!counted_) {
      counted_ = true;
      scratch_folder disk;
      disk_.watch(disk.path().c_str());
      disk_.inject({});
      auto store = make_store(kind_, disk.path() + "/spool");
      if (store->start() == HEDWIG_OK)
        run_load(*store, disk_, load());
      store.reset();
      for (auto& one : call_names)
        usual_.emplace_back(one.call, disk_.calls(one.call));
      disk_.watch("");
    }
    for (auto& [kind, count] : usual_)
      if (kind == call)
        return count;
    return 0;
  }

  load_settings load() const {
    load_settings settings;
    settings.messages = options_.messages;
    settings.in_flight = 3;
    settings.seed = options_.seed;
    settings.through_failures = true;
    return settings;
  }

  promises work(const std::string& folder, const std::string& where) {
    struck_ = false;
    auto store = make_store(kind_, folder);
    if (store->start() != HEDWIG_OK) {
      ++no_start_;
      struck_ = true;
      if (store->error().empty())
        found_.note(found_.broken, where, "the start failed and did not say why");
      return {};
    }
    auto done = run_load(*store, disk_, load());
    refused_ += done.refused;
    struck_ = disk_.hits() != 0;
    check_refused(*store, done, where);
    disk_.inject({}); // the disk is well again
    if (done.refused != 0)
      check_health(*store, done, where);
    return done.said;
  }

  /// What was refused is not seen by any later request.
  void check_refused(store_client& store, const load_result& done, const std::string& where) {
    if ((disk_.calls(call_read) != 0 && disk_.hits() == 0) || done.refused == 0)
      return;
    auto page = store.run(store.make_list(HEDWIG_STORAGE_LIST, every_state, 1000, {}, 0));
    for (auto& entry : page.entries)
      for (auto number : done.refused_puts)
        if (std::memcmp(entry.id.bytes, id_of(number).bytes, sizeof entry.id.bytes) == 0)
          found_.note(found_.broken, where, std::to_string(number) + " was refused and is listed");
  }

  /// Either the store takes mail again or it says that it does not.
  void check_health(store_client& store, load_result& done, const std::string& where) {
    std::uint64_t number = 5000;
    auto more = [&] {
      ++number;
      auto put = store.put(id_of(number), content_of(number), metadata_of(number, false), HEDWIG_STATE_QUEUED,
                           static_cast<hedwig_time_ns>(1000 + number % 7));
      if (put.status == HEDWIG_OK)
        done.said.put.insert(number);
      return put.status == HEDWIG_OK;
    };
    if (more()) {
      ++came_back_;
      return;
    }
    if (++waited_ % options_.waits != 0 && store.health() != HEDWIG_OK) {
      ++restarts_;
      return;
    }
    bool well = store.eventually([&] { return store.health() == HEDWIG_OK; });
    if (!well) {
      ++restarts_;
      return;
    }
    if (store.eventually(more))
      ++came_back_;
    else
      found_.note(found_.broken, where, "calls itself well and takes no mail");
  }

  /// A sync that does not come back: nothing is acknowledged, what is there can be read, and it goes on afterwards.
  void hold() {
    auto where = kind_ + ", a sync that hangs";
    scratch_folder disk;
    disk_.watch(disk.path().c_str());
    {
      auto store = make_store(kind_, disk.path() + "/spool");
      if (store->start() != HEDWIG_OK || store->put(id_of(1), content_of(1), metadata_of(1, false)).status != HEDWIG_OK)
        return found_.note(found_.broken, where, "no start");
      fault_plan plan;
      plan.mode = fault_mode::hold;
      plan.calls = every_sync;
      disk_.inject(plan);
      auto put = store->make_put(id_of(2), content_of(2), metadata_of(2, false), HEDWIG_STATE_QUEUED, 1002);
      store->submit({put});
      store->eventually([&] { return disk_.hits() != 0; });
      auto read = store->read_all(id_of(1));
      if (read.status != HEDWIG_OK || read.body != content_of(1))
        found_.note(found_.broken, where, "no reading while a sync hangs");
      if (put->completions != 0 || disk_.hits() == 0)
        found_.note(found_.broken, where, "acknowledged before the sync came back");
      disk_.inject({});
      if (store->wait(put).status != HEDWIG_OK)
        found_.note(found_.broken, where, "not acknowledged after the sync came back");
      ++cases_;
    }
    disk_.watch("");
  }

  const disk_api& disk_;
  const options& options_;
  std::string kind_;
  verdicts found_;
  std::vector<std::pair<std::uint32_t, std::uint64_t>> usual_;
  bool counted_ = false;
  bool struck_ = false;
  std::size_t counter_ = 0, cases_ = 0, refused_ = 0, no_start_ = 0, restarts_ = 0, came_back_ = 0, waited_ = 0;
};

} // namespace

int main(int count, char** arguments) {
  auto& disk = need_shim(arguments);
  auto wanted = parse(count, arguments);
  std::printf("%-10s %6s %8s %9s %10s %8s %8s %5s %9s %8s %6s %6s\n", "store", "cases", "refused", "no start",
              "came back", "restart", "owed", "lost", "corrupted", "returned", "broken", "s");
  bool good = true;
  for (auto& kind : wanted.stores) {
    auto begun = std::chrono::steady_clock::now();
    trial one{disk, wanted, kind};
    auto& found = one.run();
    std::printf("%-10s %6zu %8zu %9zu %10zu %8zu %8llu %5llu %9llu %8llu %6llu %6.1f\n", kind.c_str(), one.cases(),
                one.refused(), one.refused_to_start(), one.came_back(), one.need_restart(),
                static_cast<unsigned long long>(found.owed), static_cast<unsigned long long>(found.lost),
                static_cast<unsigned long long>(found.corrupted), static_cast<unsigned long long>(found.returned),
                static_cast<unsigned long long>(found.broken),
                std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count());
    for (auto& text : found.texts)
      std::printf("  %s\n", text.c_str());
    std::fflush(stdout);
    good = good && one.cases() > 10 && found.faults() == 0;
  }
  return good ? 0 : 1;
}
