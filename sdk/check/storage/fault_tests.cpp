// SPDX-License-Identifier: Apache-2.0
// Full disks and failing files.
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "sdk/check/faults/faults.hpp"
#include "sdk/check/storage/rules.hpp"
#include "sdk/check/storage/store.hpp"
#include "sdk/check/storage/tests.hpp"
#include "sdk/check/test.hpp"

namespace hedwig::check::storage {

namespace {

using namespace std::chrono_literals;

void skip_without_files(const context& run) {
  if (run.settings().is_remote())
    throw skipped{"the settings say that the store's data lie elsewhere (check.remote)"};
  if (run.settings().is_volatile())
    throw skipped{"the settings say that the store has no files (check.volatile)"};
}

/// Looks until it holds, or ten seconds have passed.
bool soon(const std::function<bool()>& holds) {
  for (int i = 0; i < 500; ++i) {
    if (holds())
      return true;
    std::this_thread::sleep_for(20ms);
  }
  return holds();
}

std::size_t size_of(std::uint64_t number) { return number % 4 == 0 ? 120'000 : 3000; }

/// What has been acknowledged, and what has been refused.
class ledger {
public:
  explicit ledger(store& to) : store_{to} {}

  answer put() {
    auto number = ++last_;
    auto got = store_.put(id_of(number), body_of(number, size_of(number)), std::to_string(number));
    (got.status == HEDWIG_OK ? kept_ : refused_).push_back(number);
    return got;
  }
  /// All at once; false when one was acknowledged.
  bool all_fail(int count) {
    std::vector<op_pointer> ops;
    auto first = last_ + 1;
    for (int i = 0; i < count; ++i, ++last_)
      ops.push_back(
          store_.make_put(id_of(last_ + 1), body_of(last_ + 1, size_of(last_ + 1)), std::to_string(last_ + 1)));
    store_.submit(ops);
    store_.wait(ops);
    bool failed = true;
    for (std::size_t i = 0; i < ops.size(); ++i) {
      bool kept = ops[i]->got.status == HEDWIG_OK;
      failed = failed && !kept;
      (kept ? kept_ : refused_).push_back(first + i);
    }
    return failed;
  }
  void expect_kept() {
    for (auto number : kept_)
      expect_message(store_, {number, body_of(number, size_of(number)), std::to_string(number)},
                     rules::acknowledged_survives);
  }
  void expect_refused_unseen() {
    for (auto number : refused_)
      expect_status(store_.stat(id_of(number)), HEDWIG_E_NOT_FOUND, rules::failed_write_unseen,
                    fmt::format("STAT of message {}, whose PUT failed,", number));
    auto listed = store_.list_all().size();
    expect(listed == kept_.size(), rules::failed_write_unseen, "{} entries are listed where {} PUTs were acknowledged",
           listed, kept_.size());
  }
  /// After a restart they may be there, whole.
  void expect_refused_whole() {
    for (auto number : refused_)
      if (store_.stat(id_of(number)).status != HEDWIG_E_NOT_FOUND)
        expect_message(store_, {number, body_of(number, size_of(number)), std::to_string(number)},
                       rules::put_is_one_step);
  }
  std::size_t kept() const { return kept_.size(); }
  std::uint64_t first_kept() const { return kept_.at(0); }
  void forget_first() { kept_.erase(kept_.begin()); }

private:
  store& store_;
  std::uint64_t last_ = 0;
  std::vector<std::uint64_t> kept_, refused_;
};

/// Whether health() returns to OK. A store that stays at HEDWIG_E_IO for three seconds is taken at its word.
bool comes_back(store& which) {
  int at_io = 0;
  soon([&] {
    which.clock().advance(1s); // a store may look again after a while that grows
    at_io = which.health() == HEDWIG_E_IO ? at_io + 1 : 0;
    return which.health() == HEDWIG_OK || at_io > 150;
  });
  return which.health() == HEDWIG_OK;
}

/// Files fail with `os_errno`; what is refused says `wanted`; afterwards all is as it was.
void survives(context& run, unsigned what, int os_errno, hedwig_status wanted, const rule& which) {
  skip_without_files(run);
  fault_switch faults{run.folder()};
  auto& store = open_store(run);
  ledger book{store};
  for (int i = 0; i < 20; ++i)
    expect_status(book.put(), HEDWIG_OK, rules::acknowledged_survives, "PUT");
  expect(store.health() == HEDWIG_OK, rules::health_refuses, "health() is {} while all is well",
         name_of(store.health()));
  faults.arm(what, os_errno);
  auto first = book.put();
  if (faults.failures() == 0) {
    expect(what != fault_syncs || faults.synced_opens() != 0, rules::acknowledged_survives,
           "a PUT was completed with {} and no file was synced", name_of(first.status));
    throw skipped{"no such call on a file below the test's folder: see check.remote in the settings"};
  }
  expect_status(first, wanted, which, fmt::format("PUT while files fail with {}", std::strerror(os_errno)));
  expect(book.all_fail(20), rules::acknowledged_survives, "a PUT is acknowledged while files fail");
  // A store may look now and then whether the fault is gone, and say so: then the next PUT tells it better.
  expect(soon([&] { return book.all_fail(1) && store.health() != HEDWIG_OK; }), rules::health_refuses,
         "health() stays HEDWIG_OK while every PUT fails");
  book.expect_refused_unseen();
  book.expect_kept();
  faults.disarm();
  if (comes_back(store)) {
    for (int i = 0; i < 20; ++i)
      expect_status(book.put(), HEDWIG_OK, rules::health_recovers, "PUT after health() had come back");
    book.expect_kept();
  } else {
    expect(store.health() == HEDWIG_E_IO, rules::health_recovers, "health() stays {} after the files are well again",
           name_of(store.health()));
    expect(book.all_fail(1), rules::health_recovers, "a PUT is acknowledged while health() says HEDWIG_E_IO");
  }
  store.reopen();
  book.expect_kept();
  book.expect_refused_whole();
  expect_status(book.put(), HEDWIG_OK, rules::health_recovers, "PUT after a restart");
  store.close();
}

/// A small file system below the test's folder; unmounted with its namespace or by the runner.
void mount_small_disk(const std::string& folder, const char* size) {
  if (::mount("tmpfs", folder.c_str(), "tmpfs", 0, size) == 0)
    return;
  auto user = ::getuid();
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) {
    std::ofstream{"/proc/self/uid_map"} << fmt::format("{} {} 1", user, user);
    if (::mount("tmpfs", folder.c_str(), "tmpfs", 0, size) == 0)
      return;
  }
  throw skipped{fmt::format("no small file system can be mounted here: {}", std::strerror(errno))};
}

} // namespace

void survives_no_space(context& run) { survives(run, fault_writes, ENOSPC, HEDWIG_E_NO_SPACE, rules::no_space_is_452); }
void survives_failing_writes(context& run) { survives(run, fault_writes, EIO, HEDWIG_E_IO, rules::io_is_451); }
void survives_failing_syncs(context& run) { survives(run, fault_syncs, EIO, HEDWIG_E_IO, rules::io_is_451); }

void survives_failing_reads(context& run) {
  skip_without_files(run);
  fault_switch faults{run.folder()};
  auto& store = open_store(run);
  constexpr std::uint64_t messages = 20;
  auto body = [](std::uint64_t number) { return body_of(number, number * 20'000); };
  for (std::uint64_t number = 1; number <= messages; ++number)
    expect_status(store.put(id_of(number), body(number)), HEDWIG_OK, rules::acknowledged_survives, "PUT");
  store.reopen(); // nothing is left in the store's memory
  faults.arm(fault_reads, EIO);
  for (std::uint64_t number = 1; number <= messages; ++number) {
    auto read = store.read_all(id_of(number));
    if (read.status != HEDWIG_OK)
      expect_status(read, HEDWIG_E_IO, rules::io_is_451, "READ while files fail with an input/output error");
    else
      expect(read.body == body(number), rules::io_is_451, "READ while files fail: {}",
             difference(read.body, body(number)));
  }
  faults.disarm();
  for (std::uint64_t number = 1; number <= messages; ++number)
    expect_message(store, {number, body(number), "metadata"}, rules::acknowledged_survives);
  store.close();
}

void survives_a_full_disk(context& run) {
  skip_without_files(run);
  mount_small_disk(run.folder(), "size=96m");
  auto ballast = run.folder() + "/ballast";
  std::ofstream{ballast} << std::string(std::size_t{32} << 20, 'b');
  auto& store = open_store(run);
  ledger book{store};
  answer last;
  for (int i = 0; i < 3000 && last.status != HEDWIG_E_NO_SPACE; ++i) {
    last = book.put();
    if (last.status != HEDWIG_OK)
      expect_status(last, HEDWIG_E_NO_SPACE, rules::no_space_is_452, "PUT on a full disk");
  }
  expect(last.status == HEDWIG_E_NO_SPACE, rules::no_space_is_452, "100 MB went onto a disk of 64 MiB");
  expect(book.kept() != 0, rules::no_space_is_452,
         "not one PUT was taken with 64 MiB free: let the settings of --config reserve less for a full disk");
  expect(soon([&] { return store.health() == HEDWIG_E_NO_SPACE; }), rules::health_refuses,
         "health() is {} on a full disk", name_of(store.health()));
  auto number = book.first_kept();
  expect_status(store.run(store.make_move(id_of(number), 1, HEDWIG_STATE_DEFERRED, 5)), HEDWIG_OK,
                rules::full_store_moves, "MOVE after a PUT was refused");
  expect_status(store.remove(id_of(number)), HEDWIG_OK, rules::full_store_moves, "REMOVE after a PUT was refused");
  book.forget_first();
  book.expect_refused_unseen();
  std::filesystem::remove(ballast);
  expect(comes_back(store), rules::health_recovers, "health() stays {} when there is space again",
         name_of(store.health()));
  for (int i = 0; i < 20; ++i)
    expect_status(book.put(), HEDWIG_OK, rules::health_recovers, "PUT when there is space again");
  store.reopen();
  book.expect_kept();
  book.expect_refused_whole();
  store.close();
}

} // namespace hedwig::check::storage
