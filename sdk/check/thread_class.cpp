// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/thread_class.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <latch>
#include <mutex>
#include <sstream>
#include <string>

#include <unistd.h>

namespace hedwig::check {

namespace {

thread_local thread_class class_now = thread_class::none;

struct known_threads {
  std::mutex mutex;
  std::set<pid_t> all;
};
known_threads& kit_threads() {
  static known_threads threads;
  return threads;
}

/// Whether the kernel is taking it down, by the flags in its line of /proc.
bool is_ending(const std::string& folder) {
  std::ifstream in{folder + "/stat"};
  std::string line;
  if (!std::getline(in, line))
    return true;                         // gone meanwhile
  constexpr unsigned long exiting = 0x4; // PF_EXITING
  auto after_name = line.rfind(')');
  std::istringstream rest{after_name == std::string::npos ? std::string{} : line.substr(after_name + 1)};
  std::string field;
  for (int i = 0; i < 6; ++i) // state, parent, group, session, terminal and its group
    rest >> field;
  unsigned long flags = 0;
  rest >> flags;
  return (flags & exiting) != 0;
}

} // namespace

std::string_view name_of(thread_class one) {
  constexpr std::array names{"a thread of the plugin's own", "[control]", "[event]", "[worker]"};
  return names[static_cast<std::size_t>(one)];
}

thread_class this_thread_class() { return class_now; }

as_thread::as_thread(thread_class what) : before_{class_now} { class_now = what; }
as_thread::~as_thread() { class_now = before_; }

kit_thread::kit_thread() {
  std::lock_guard guard{kit_threads().mutex};
  kit_threads().all.insert(::gettid());
}
kit_thread::~kit_thread() {
  std::lock_guard guard{kit_threads().mutex};
  kit_threads().all.erase(::gettid());
}

std::thread start_kit_thread(std::function<void()> run) {
  std::latch known{1};
  std::thread made{[&known, run = std::move(run)] {
    kit_thread mine;
    known.count_down();
    run();
  }};
  known.wait();
  return made;
}

std::set<pid_t> foreign_threads() {
  std::set<pid_t> all;
  std::error_code failed;
  std::lock_guard guard{kit_threads().mutex};
  for (auto& one : std::filesystem::directory_iterator{"/proc/self/task", failed}) {
    auto number = static_cast<pid_t>(std::stol(one.path().filename().string()));
    if (number != ::getpid() && !kit_threads().all.contains(number) && !is_ending(one.path().string()))
      all.insert(number);
  }
  return all;
}

std::size_t open_descriptors() {
  std::error_code failed;
  auto all = std::filesystem::directory_iterator{"/proc/self/fd", failed};
  return static_cast<std::size_t>(std::count_if(begin(all), end(all), [](auto&) { return true; }));
}

} // namespace hedwig::check
