// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/threads/suite.hpp"

#include <hedwig/storage.h>

#include <algorithm>
#include <array>
#include <functional>
#include <vector>

#include "sdk/check/instance.hpp"
#include "sdk/check/rules.hpp"
#include "sdk/check/thread_class.hpp"
#include "sdk/check/traffic.hpp"

namespace hedwig::check {

namespace {

using namespace std::chrono_literals;

void calls_where_it_may(context& run) {
  instance one{run};
  one.begin();
  converse(run, one, 0);
  for (auto pause : {100ms, 1000ms, 60'000ms, 3'600'000ms, 86'400'000ms}) {
    one.services().clock().advance(pause);
    converse(run, one, 1);
    expect(one.services().services().wait_idle(), rules::creates, "its timers or work had not ended after a minute");
  }
  one.end();
  auto wrong = one.services().services().wrong_threads();
  expect(wrong.empty(), rules::cancel_may_wait, "{}", wrong.empty() ? "" : wrong.front());
}

constexpr int lives = 5;

/// Whether `more` says so of each life but the first, in which libraries make what they keep for the process.
template <class More>
bool grows_each_time(context& run, More more) {
  bool each = true;
  for (int i = 0; i < lives; ++i) {
    instance one{run};
    auto threads = foreign_threads();
    auto descriptors = open_descriptors();
    one.begin();
    converse(run, one, static_cast<unsigned>(i));
    one.end();
    // The kit's own hosts make threads, which are not counted, and hold no descriptor.
    each = (more(one, threads, descriptors) || i == 0) && each;
  }
  return each;
}

void joins_its_threads(context& run) {
  bool left = grows_each_time(run, [](instance& one, const std::set<pid_t>& before, std::size_t) {
    return !std::ranges::includes(before, one.threads_at_stop());
  });
  expect(!left, rules::completes_stop,
         "in each of {} lives a thread was there when stop() was completed that had not been before", lives - 1);
}

void closes_its_descriptors(context& run) {
  bool left = grows_each_time(
      run, [](instance&, const std::set<pid_t>&, std::size_t before) { return open_descriptors() > before; });
  expect(!left, rules::gives_back, "each of {} lives left a descriptor open", lives - 1);
}

void releases_its_buffers(context& run) {
  instance one{run};
  one.begin();
  converse(run, one, 0);
  converse(run, one, 1);
  one.end();
  auto left = host::buffers_alive();
  expect(left == 0, rules::gives_back, "{} buffers are held after destroy()", left);
}

void answers_many_at_once(context& run) {
  if (run.provider().interface_id == std::string_view{HEDWIG_STORAGE})
    throw skipped{"the storage suite asks as a host asks a store"};
  instance one{run};
  one.begin();
  constexpr unsigned at_once = 8;
  auto alone = converse(run, one, 0);
  auto together = converse_at_once(run, one, at_once);
  expect(together.size() >= at_once || alone.empty(), rules::runs_at_once,
         "of {} conversations at once some had no answers", at_once);
  one.end();
}

constexpr std::array threads_tests{
    test{"classes", "it calls its host's functions on the threads that they are for", 1, calls_where_it_may},
    test{"joined", "every thread it made is joined when stop is completed", 1, joins_its_threads},
    test{"descriptors", "destroy closes what was opened", 1, closes_its_descriptors},
    test{"buffers", "destroy leaves no buffer held", 1, releases_its_buffers},
    test{"at-once", "it is asked from many threads at once", 2, answers_many_at_once},
};

} // namespace

suite threads_suite() { return {"threads", {}, threads_tests, {}}; }

} // namespace hedwig::check
