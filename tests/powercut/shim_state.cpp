// SPDX-License-Identifier: Apache-2.0
#include "tests/powercut/shim_state.hpp"

#include <array>
#include <atomic>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <map>
#include <utility>

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

namespace hedwig::test::shim {

namespace {

struct known_file {
  handle what;
  dev_t device = 0;
  ino_t inode = 0;
};

pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
pthread_mutex_t judging = PTHREAD_MUTEX_INITIALIZER;

// Never destroyed: threads of the program may still write while it ends.
std::string& root() {
  static auto* text = new std::string;
  return *text;
}
std::map<int, known_file>& files() {
  static auto* map = new std::map<int, known_file>;
  return *map;
}
std::atomic<bool> watching{false};
int journal = -1;
std::uint64_t handles = 0;
std::atomic<std::uint64_t> syncs{0};

fault_plan own_plan;
fault_plan* plan = &own_plan;
std::uint64_t generation = 0;
std::uint64_t counted = 0;
bool short_written = false;
std::array<std::uint64_t, 16> calls_of{};

void write_all(iovec* parts, int count) {
  while (count > 0) {
    auto wrote = ::syscall(SYS_writev, journal, parts, count);
    if (wrote < 0)
      std::abort(); // a journal with a gap would prove nothing
    auto rest = static_cast<std::size_t>(wrote);
    while (count > 0 && rest >= parts->iov_len) {
      rest -= parts->iov_len;
      ++parts;
      --count;
    }
    if (count > 0) {
      parts->iov_base = static_cast<char*>(parts->iov_base) + rest;
      parts->iov_len -= rest;
    }
  }
}

void watch(const char* path) {
  guard locked;
  root() = path;
  files().clear();
  watching = !root().empty();
}

void record(const char* path) {
  guard locked;
  if (journal >= 0)
    ::syscall(SYS_close, journal);
  journal = path == nullptr ? -1
                            : static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path,
                                                         O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_APPEND, 0600));
}

void mark(std::uint64_t what, const void* data, std::size_t size) {
  guard locked;
  journal_record one;
  one.kind = journal_kind::mark;
  one.a = what;
  append(one, {}, {static_cast<const char*>(data), size});
}

void inject(const fault_plan& wanted) {
  ::pthread_mutex_lock(&judging);
  auto next = plan->generation + 1;
  *plan = wanted;
  plan->hits = 0;
  plan->generation = next;
  calls_of.fill(0);
  ::pthread_mutex_unlock(&judging);
}

std::uint64_t hits() { return __atomic_load_n(&plan->hits, __ATOMIC_RELAXED); }

std::uint64_t calls(std::uint32_t kinds) {
  ::pthread_mutex_lock(&judging);
  std::uint64_t sum = 0;
  for (std::size_t bit = 0; bit < calls_of.size(); ++bit)
    if ((kinds >> bit & 1) != 0)
      sum += calls_of[bit];
  ::pthread_mutex_unlock(&judging);
  return sum;
}

/// With the lock `judging`.
bool strikes(std::uint32_t call) {
  auto now = __atomic_load_n(&plan->generation, __ATOMIC_ACQUIRE);
  if (now != generation) {
    generation = now;
    counted = 0;
    short_written = false;
  }
  ++calls_of[static_cast<std::size_t>(__builtin_ctz(call))];
  if (plan->mode == fault_mode::none || (plan->calls & call) == 0)
    return false;
  ++counted;
  bool strikes = plan->always != 0 ? counted >= plan->nth : counted == plan->nth;
  if (plan->mode == fault_mode::short_write)
    strikes = counted == plan->nth || counted == plan->nth + 1;
  if (strikes)
    __atomic_fetch_add(&plan->hits, 1, __ATOMIC_RELAXED);
  return strikes;
}

void hold(std::uint64_t until_changed) {
  while (__atomic_load_n(&plan->generation, __ATOMIC_ACQUIRE) == until_changed) {
    timespec pause{0, 1'000'000};
    ::nanosleep(&pause, nullptr);
  }
}

/// For programs that know nothing of the shim: HEDWIG_DISK_ROOT is the folder, HEDWIG_DISK_PLAN a file with a
/// fault_plan that another process changes.
__attribute__((constructor)) void begin() {
  if (auto* file = std::getenv("HEDWIG_DISK_PLAN")) {
    int fd = ::open(file, O_RDWR | O_CLOEXEC);
    auto* mapped = ::mmap(nullptr, sizeof(fault_plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
      std::abort();
    ::close(fd);
    plan = static_cast<fault_plan*>(mapped);
  }
  if (auto* path = std::getenv("HEDWIG_DISK_ROOT"))
    watch(path);
}

constexpr disk_api api{watch, record, mark, inject, hits, calls};

} // namespace

guard::guard() { ::pthread_mutex_lock(&mutex); }
guard::~guard() { ::pthread_mutex_unlock(&mutex); }

std::string watched_path(int folder, const char* path) {
  if (!watching || path == nullptr)
    return {};
  std::string whole;
  if (path[0] != '/') {
    if (folder == AT_FDCWD) {
      char here[PATH_MAX];
      whole = ::getcwd(here, sizeof here) != nullptr ? here : "";
    } else {
      whole = find_handle(folder).path;
      if (whole.empty())
        return {};
    }
    whole += '/';
  }
  whole += path;
  std::string clean;
  for (char c : whole)
    if (c != '/' || clean.empty() || clean.back() != '/')
      clean += c;
  while (clean.size() > 1 && clean.back() == '/')
    clean.pop_back();
  auto& top = root();
  bool below = clean.starts_with(top) && (clean.size() == top.size() || clean[top.size()] == '/');
  return below ? clean : std::string{};
}

handle find_handle(int fd) {
  auto at = files().find(fd);
  if (at == files().end())
    return {};
  // A close inside of libc (fclose) does not come by here.
  struct stat now {};
  if (::fstat(fd, &now) != 0 || now.st_dev != at->second.device || now.st_ino != at->second.inode) {
    files().erase(at);
    return {};
  }
  return at->second.what;
}

void add_handle(int fd, const handle& what) {
  struct stat now {};
  if (::fstat(fd, &now) == 0)
    files()[fd] = {what, now.st_dev, now.st_ino};
}

handle new_handle(int fd, std::string path, bool folder) {
  handle one{++handles, folder, std::move(path)};
  add_handle(fd, one);
  return one;
}

void drop_handle(int fd) { files().erase(fd); }

void append(journal_record one, std::string_view text, std::string_view data) {
  if (journal < 0)
    return;
  one.text_size = static_cast<std::uint32_t>(text.size());
  one.data_size = static_cast<std::uint32_t>(data.size());
  iovec parts[] = {
      {&one, sizeof one}, {const_cast<char*>(text.data()), text.size()}, {const_cast<char*>(data.data()), data.size()}};
  write_all(parts, 3);
}

verdict judge(std::uint32_t call) {
  ::pthread_mutex_lock(&judging);
  verdict result;
  if (strikes(call)) {
    result = {plan->mode, static_cast<int>(plan->error)};
    if (result.mode == fault_mode::short_write && std::exchange(short_written, true))
      result.mode = fault_mode::fail;
  }
  auto now = generation;
  ::pthread_mutex_unlock(&judging);
  if (result.mode == fault_mode::hold) {
    hold(now);
    return {};
  }
  return result;
}

std::uint64_t next_sync() { return ++syncs; }

} // namespace hedwig::test::shim

extern "C" __attribute__((visibility("default"))) const hedwig::test::disk_api* hedwig_disk() {
  return &hedwig::test::shim::api;
}
