// SPDX-License-Identifier: Apache-2.0
// hedwig-check-faults.so, preloaded into tests that need failing files: while armed, calls on files below one folder
// fail as they do on a full or broken disk. Everything else goes through.
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstring>

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sdk/check/faults/faults.hpp"

namespace {

std::atomic<unsigned> armed{0};
std::atomic<int> error{EIO};
std::atomic<std::uint64_t> failures{0};
std::atomic<std::uint64_t> synced_opens{0};
char folder[4096];
std::atomic<std::size_t> folder_size{0};

template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

bool lies_below(const char* path) { return std::strncmp(path, folder, folder_size) == 0; }

bool is_hit(int descriptor) {
  char link[64] = "/proc/self/fd/", digits[16], target[4096];
  int count = 0;
  for (int rest = descriptor; rest > 0 || count == 0; rest /= 10)
    digits[count++] = static_cast<char>('0' + rest % 10);
  for (char* at = link + std::strlen(link); count > 0;)
    *at++ = digits[--count];
  auto size = ::readlink(link, target, sizeof target - 1);
  if (size <= 0)
    return false;
  target[size] = '\0';
  return lies_below(target);
}

/// True, with errno set: the call is to fail.
bool fails(unsigned what, int descriptor) {
  if ((armed.load(std::memory_order_acquire) & what) == 0)
    return false;
  int before = errno;
  bool hit = is_hit(descriptor);
  errno = hit ? error.load() : before;
  failures += hit;
  return hit;
}

bool fails(unsigned what, const char* path) {
  if ((armed.load(std::memory_order_acquire) & what) == 0 || !lies_below(path))
    return false;
  errno = error;
  ++failures;
  return true;
}

using namespace hedwig::check;

} // namespace

// NOLINTBEGIN: names and types are libc's
extern "C" {

__attribute__((visibility("default"))) void hedwig_check_arm(const char* below, unsigned what, int which) {
  armed = 0;
  std::strncpy(folder, below, sizeof folder - 1);
  folder_size = std::strlen(folder);
  error = which;
  armed.store(what, std::memory_order_release);
}
__attribute__((visibility("default"))) std::uint64_t hedwig_check_failures() { return failures; }
__attribute__((visibility("default"))) std::uint64_t hedwig_check_synced_opens() { return synced_opens; }

#define HOOK(result, what, name, parameters, arguments)                                                                \
  __attribute__((visibility("default"))) result name parameters {                                                      \
    static auto* real = next<result parameters>(#name);                                                                \
    return fails(what, fd) ? -1 : real arguments;                                                                      \
  }

HOOK(ssize_t, fault_writes, write, (int fd, const void* data, size_t size), (fd, data, size))
HOOK(ssize_t, fault_writes, pwrite, (int fd, const void* data, size_t size, off_t at), (fd, data, size, at))
HOOK(ssize_t, fault_writes, pwrite64, (int fd, const void* data, size_t size, off64_t at), (fd, data, size, at))
HOOK(ssize_t, fault_writes, writev, (int fd, const iovec* some, int count), (fd, some, count))
HOOK(ssize_t, fault_writes, pwritev, (int fd, const iovec* some, int count, off_t at), (fd, some, count, at))
HOOK(ssize_t, fault_writes, pwritev64, (int fd, const iovec* some, int count, off64_t at), (fd, some, count, at))
HOOK(int, fault_writes, fallocate, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size))
HOOK(int, fault_writes, fallocate64, (int fd, int mode, off64_t at, off64_t size), (fd, mode, at, size))
HOOK(int, fault_syncs, fsync, (int fd), (fd))
HOOK(int, fault_syncs, fdatasync, (int fd), (fd))
HOOK(int, fault_syncs, syncfs, (int fd), (fd))
HOOK(ssize_t, fault_reads, read, (int fd, void* data, size_t size), (fd, data, size))
HOOK(ssize_t, fault_reads, pread, (int fd, void* data, size_t size, off_t at), (fd, data, size, at))
HOOK(ssize_t, fault_reads, pread64, (int fd, void* data, size_t size, off64_t at), (fd, data, size, at))
HOOK(ssize_t, fault_reads, preadv, (int fd, const iovec* some, int count, off_t at), (fd, some, count, at))
HOOK(ssize_t, fault_reads, preadv64, (int fd, const iovec* some, int count, off64_t at), (fd, some, count, at))

// These two return the error instead of setting errno.
#define HOOK_ALLOCATE(name, offset)                                                                                    \
  __attribute__((visibility("default"))) int name(int fd, offset at, offset size) {                                    \
    static auto* real = next<int(int, offset, offset)>(#name);                                                         \
    return fails(fault_writes, fd) ? error.load() : real(fd, at, size);                                                \
  }
HOOK_ALLOCATE(posix_fallocate, off_t)
HOOK_ALLOCATE(posix_fallocate64, off64_t)

#define HOOK_MAP(name, offset)                                                                                         \
  __attribute__((visibility("default"))) void* name(void* where, size_t size, int protection, int flags, int fd,       \
                                                    offset at) {                                                       \
    static auto* real = next<void*(void*, size_t, int, int, int, offset)>(#name);                                      \
    return fd >= 0 && fails(fault_reads, fd) ? MAP_FAILED : real(where, size, protection, flags, fd, at);              \
  }
HOOK_MAP(mmap, off_t)
HOOK_MAP(mmap64, off64_t)

// A new file or name needs space, too.
#define HOOK_OPEN(name, first, pass)                                                                                   \
  __attribute__((visibility("default"))) int name(first const char* path, int flags, ...) {                            \
    static auto* real = next<int(first const char*, int, ...)>(#name);                                                 \
    va_list rest;                                                                                                      \
    va_start(rest, flags);                                                                                             \
    auto mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;                                     \
    va_end(rest);                                                                                                      \
    synced_opens += (flags & O_DSYNC) != 0; /* a part of O_SYNC */                                                     \
    return (flags & O_CREAT) != 0 && fails(fault_writes, path) ? -1 : real(pass path, flags, mode);                    \
  }
#define HOOK_NOTHING
#define HOOK_FOLDER int folder_fd,
#define HOOK_PASS_FOLDER folder_fd,
HOOK_OPEN(open, HOOK_NOTHING, HOOK_NOTHING)
HOOK_OPEN(open64, HOOK_NOTHING, HOOK_NOTHING)
HOOK_OPEN(openat, HOOK_FOLDER, HOOK_PASS_FOLDER)
HOOK_OPEN(openat64, HOOK_FOLDER, HOOK_PASS_FOLDER)

} // extern "C"
// NOLINTEND
