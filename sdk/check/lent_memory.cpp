// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/lent_memory.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <mutex>

#include <sys/mman.h>

namespace hedwig::check {

namespace {

constexpr std::size_t memory_page = 4096;
constexpr std::size_t small_structs = 1024;
constexpr std::size_t regions_max = 4096; // that are watched in one process

struct lent_region {
  std::atomic<std::uintptr_t> begin{0};
  std::atomic<std::size_t> size{0};
};
std::array<lent_region, regions_max> regions;
std::atomic<std::size_t> region_count{0};
std::atomic<bool> looked{false};

/// Notes the look and lets it happen; whatever else has gone wrong ends the process as it would have.
void on_fault(int number, siginfo_t* what, void*) {
  auto at = reinterpret_cast<std::uintptr_t>(what->si_addr);
  auto count = std::min(region_count.load(), regions_max);
  for (std::size_t i = 0; i < count; ++i)
    if (auto begin = regions[i].begin.load(); begin != 0 && at >= begin && at - begin < regions[i].size) {
      looked = true;
      ::mprotect(reinterpret_cast<void*>(begin), regions[i].size, PROT_READ | PROT_WRITE);
      return;
    }
  ::signal(number, SIG_DFL);
}

void watch(std::byte* begin, std::size_t size) noexcept {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action {};
    action.sa_sigaction = &on_fault;
    action.sa_flags = SA_SIGINFO;
    ::sigaction(SIGSEGV, &action, nullptr);
  });
  auto place = region_count++;
  if (place >= regions_max)
    return;
  regions[place].size = size;
  regions[place].begin = reinterpret_cast<std::uintptr_t>(begin);
  ::mprotect(begin, size, PROT_NONE);
}

} // namespace

lent_memory::lent_memory(std::size_t size, bool watched)
  : size_{watched ? (size + small_structs + memory_page - 1) / memory_page * memory_page : size + small_structs},
    watched_{watched} {
  if (!watched) {
    begin_ = static_cast<std::byte*>(::operator new(size_));
    return;
  }
  auto* made = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (made == MAP_FAILED)
    throw std::bad_alloc{};
  begin_ = static_cast<std::byte*>(made);
}

lent_memory::~lent_memory() {
  if (!watched_)
    ::operator delete(begin_);
}

void* lent_memory::take(std::size_t size) {
  auto rounded = (size + 15) / 16 * 16;
  if (rounded > size_ - used_)
    throw std::bad_alloc{};
  auto* at = begin_ + used_;
  used_ += rounded;
  std::memset(at, 0, rounded);
  return at;
}

std::string_view lent_memory::keep(std::string_view text) {
  auto* at = static_cast<char*>(take(text.size()));
  std::memcpy(at, text.data(), text.size());
  return {at, text.size()};
}

void lent_memory::take_back() noexcept {
  std::memset(begin_, 0xDD, used_);
  if (watched_)
    watch(begin_, size_);
}

bool lent_memory::looked_at_later() { return looked; }

} // namespace hedwig::check
