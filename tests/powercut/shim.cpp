// SPDX-License-Identifier: Apache-2.0
// The calls that a program loaded with this library makes without knowing. Below the root each is counted, may be made
// to fail, and is written into the journal; syncs are only written down, since the disk of these tests is the journal.
// System calls go to the kernel directly, so that no other library stands between the record and what happened.
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <string>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/powercut/shim_state.hpp"

namespace {

using namespace hedwig::test;
using namespace hedwig::test::shim;

/// Tells -1 and errno where the plan says so.
bool refused(const verdict& what) {
  if (what.mode != fault_mode::fail)
    return false;
  errno = what.error;
  return true;
}

handle find(int fd) {
  guard locked;
  return find_handle(fd);
}

std::string find_path(int folder, const char* path) {
  guard locked;
  return watched_path(folder, path);
}

void forbid(const std::string& what) {
  journal_record one;
  one.kind = journal_kind::forbidden;
  append(one, what);
}

int open_call(int folder, const char* path, int flags, mode_t mode) {
  auto below = find_path(folder, path);
  if (!below.empty() && refused(judge(call_open)))
    return -1;
  guard locked;
  struct stat before {};
  bool existed = below.empty() || ::lstat(below.c_str(), &before) == 0;
  auto fd = static_cast<int>(::syscall(SYS_openat, folder, path, flags, mode));
  if (fd < 0)
    return fd;
  drop_handle(fd);
  if (below.empty())
    return fd;
  if ((flags & O_TMPFILE) == O_TMPFILE)
    forbid("O_TMPFILE " + below);
  struct stat now {};
  ::fstat(fd, &now);
  auto known = new_handle(fd, below, S_ISDIR(now.st_mode));
  journal_record one;
  one.kind = journal_kind::open;
  one.a = known.number;
  one.flags = (existed ? 0 : journal_created) | ((flags & O_TRUNC) != 0 ? journal_truncated : 0) |
              (known.folder ? journal_folder : 0);
  if ((flags & (O_SYNC | O_DSYNC)) != 0)
    forbid("O_SYNC " + below);
  append(one, below);
  return fd;
}

/// Writes what `parts` hold, at `offset` or, when negative, where the descriptor stands.
ssize_t write_call(int fd, const iovec* parts, int count, off_t offset) {
  auto known = find(fd);
  std::string data;
  if (known.number != 0) {
    for (int i = 0; i < count; ++i)
      data.append(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
    auto verdict = judge(call_write);
    if (refused(verdict))
      return -1;
    if (verdict.mode == fault_mode::short_write && data.size() > 1)
      data.resize(data.size() / 2);
  }
  if (known.number == 0)
    return offset < 0 ? ::syscall(SYS_writev, fd, parts, count)
                      : ::syscall(SYS_pwritev, fd, parts, count, offset, static_cast<long>(0));
  guard locked;
  auto wrote = offset < 0 ? ::syscall(SYS_write, fd, data.data(), data.size())
                          : ::syscall(SYS_pwrite64, fd, data.data(), data.size(), offset);
  if (wrote <= 0)
    return wrote;
  data.resize(static_cast<std::size_t>(wrote));
  if (offset < 0)
    offset = ::lseek(fd, 0, SEEK_CUR) - wrote;
  journal_record one;
  one.kind = journal_kind::write;
  one.a = known.number;
  one.b = static_cast<std::uint64_t>(offset);
  append(one, {}, data);
  return wrote;
}

int truncate_call(int fd, off_t size) {
  auto known = find(fd);
  if (known.number != 0 && refused(judge(call_truncate)))
    return -1;
  guard locked;
  auto done = static_cast<int>(::syscall(SYS_ftruncate, fd, size));
  journal_record one;
  one.kind = journal_kind::truncate;
  one.a = known.number;
  one.b = static_cast<std::uint64_t>(size);
  if (done == 0 && known.number != 0)
    append(one);
  return done;
}

int allocate_call(int fd, int mode, off_t offset, off_t length) {
  auto known = find(fd);
  if (known.number != 0 && refused(judge(call_allocate)))
    return -1;
  guard locked;
  auto done = static_cast<int>(::syscall(SYS_fallocate, fd, mode, offset, length));
  if (done != 0 || known.number == 0)
    return done;
  journal_record one;
  one.kind = journal_kind::allocate;
  one.flags = ((mode & FALLOC_FL_KEEP_SIZE) != 0 ? journal_keep_size : 0) |
              ((mode & FALLOC_FL_PUNCH_HOLE) != 0 ? journal_punch : 0);
  one.a = known.number;
  one.b = static_cast<std::uint64_t>(offset);
  one.c = static_cast<std::uint64_t>(length);
  if ((mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)) != 0)
    forbid("fallocate " + known.path);
  append(one);
  return done;
}

int sync_call(std::uint32_t call, std::uint64_t number) {
  auto verdict = judge(call);
  if (verdict.mode == fault_mode::lie)
    return 0;
  journal_record one;
  one.kind = journal_kind::sync_begin;
  one.a = number;
  one.c = next_sync();
  {
    guard locked;
    append(one);
  }
  one.kind = journal_kind::sync_end;
  one.flags = verdict.mode == fault_mode::fail ? journal_failed : 0;
  guard locked;
  append(one);
  return refused(verdict) ? -1 : 0;
}

int sync_file_call(std::uint32_t call, int fd) {
  auto known = find(fd);
  if (known.number == 0)
    return static_cast<int>(::syscall(call == call_fdatasync ? SYS_fdatasync : SYS_fsync, fd));
  return sync_call(known.folder ? std::uint32_t{call_fsync_folder} : call, known.number);
}

int two_names(journal_kind kind, int from_folder, const char* from, int to_folder, const char* to, int flags) {
  auto old_path = find_path(from_folder, from);
  auto new_path = find_path(to_folder, to);
  bool below = !old_path.empty() || !new_path.empty();
  if (below && refused(judge(call_rename)))
    return -1;
  guard locked;
  auto done =
      static_cast<int>(kind == journal_kind::rename ? ::syscall(SYS_renameat2, from_folder, from, to_folder, to, flags)
                                                    : ::syscall(SYS_linkat, from_folder, from, to_folder, to, flags));
  if (done != 0 || !below)
    return done;
  struct stat now {};
  if (old_path.empty() || new_path.empty() ||
      (kind == journal_kind::rename && (flags != 0 || (::lstat(new_path.c_str(), &now) == 0 && S_ISDIR(now.st_mode)))))
    forbid("rename " + old_path + " to " + new_path);
  journal_record one;
  one.kind = kind;
  append(one, old_path, new_path);
  return done;
}

int unlink_call(int folder, const char* path, int flags) {
  auto below = find_path(folder, path);
  if (!below.empty() && refused(judge(call_unlink)))
    return -1;
  guard locked;
  auto done = static_cast<int>(::syscall(SYS_unlinkat, folder, path, flags));
  journal_record one;
  one.kind = (flags & AT_REMOVEDIR) != 0 ? journal_kind::remove : journal_kind::unlink;
  if (done == 0 && !below.empty())
    append(one, below);
  return done;
}

int make_call(int folder, const char* path, mode_t mode) {
  auto below = find_path(folder, path);
  if (!below.empty() && refused(judge(call_mkdir)))
    return -1;
  guard locked;
  auto done = static_cast<int>(::syscall(SYS_mkdirat, folder, path, mode));
  journal_record one;
  one.kind = journal_kind::make;
  if (done == 0 && !below.empty())
    append(one, below);
  return done;
}

ssize_t read_call(int fd, const iovec* parts, int count, off_t offset) {
  if (find(fd).number != 0 && refused(judge(call_read)))
    return -1;
  return offset < 0 ? ::syscall(SYS_readv, fd, parts, count)
                    : ::syscall(SYS_preadv, fd, parts, count, offset, static_cast<long>(0));
}

int copy_handle(int fd, int copy) {
  if (copy < 0)
    return copy;
  guard locked;
  drop_handle(copy);
  if (auto known = find_handle(fd); known.number != 0)
    add_handle(copy, known);
  return copy;
}

mode_t mode_of(int flags, va_list& more) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? static_cast<mode_t>(va_arg(more, unsigned)) : 0;
}

} // namespace

#define HEDWIG_CALL extern "C" __attribute__((visibility("default")))

#define HEDWIG_OPEN(name)                                                                                              \
  HEDWIG_CALL int name(const char* path, int flags, ...) {                                                             \
    va_list more;                                                                                                      \
    va_start(more, flags);                                                                                             \
    auto mode = mode_of(flags, more);                                                                                  \
    va_end(more);                                                                                                      \
    return open_call(AT_FDCWD, path, flags, mode);                                                                     \
  }
#define HEDWIG_OPENAT(name)                                                                                            \
  HEDWIG_CALL int name(int folder, const char* path, int flags, ...) {                                                 \
    va_list more;                                                                                                      \
    va_start(more, flags);                                                                                             \
    auto mode = mode_of(flags, more);                                                                                  \
    va_end(more);                                                                                                      \
    return open_call(folder, path, flags, mode);                                                                       \
  }
HEDWIG_OPEN(open)
HEDWIG_OPEN(open64)
HEDWIG_OPENAT(openat)
HEDWIG_OPENAT(openat64)
HEDWIG_CALL int __open_2(const char* path, int flags) { return open_call(AT_FDCWD, path, flags, 0); }
HEDWIG_CALL int __open64_2(const char* path, int flags) { return open_call(AT_FDCWD, path, flags, 0); }
HEDWIG_CALL int __openat_2(int folder, const char* path, int flags) { return open_call(folder, path, flags, 0); }
HEDWIG_CALL int __openat64_2(int folder, const char* path, int flags) { return open_call(folder, path, flags, 0); }
HEDWIG_CALL int creat(const char* path, mode_t mode) {
  return open_call(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}
HEDWIG_CALL int creat64(const char* path, mode_t mode) { return creat(path, mode); }

HEDWIG_CALL ssize_t write(int fd, const void* data, std::size_t size) {
  iovec one{const_cast<void*>(data), size};
  return write_call(fd, &one, 1, -1);
}
HEDWIG_CALL ssize_t pwrite(int fd, const void* data, std::size_t size, off_t offset) {
  iovec one{const_cast<void*>(data), size};
  return write_call(fd, &one, 1, offset);
}
HEDWIG_CALL ssize_t pwrite64(int fd, const void* data, std::size_t size, off_t offset) {
  return pwrite(fd, data, size, offset);
}
HEDWIG_CALL ssize_t writev(int fd, const iovec* parts, int count) { return write_call(fd, parts, count, -1); }
HEDWIG_CALL ssize_t pwritev(int fd, const iovec* parts, int count, off_t offset) {
  return write_call(fd, parts, count, offset);
}
HEDWIG_CALL ssize_t pwritev64(int fd, const iovec* parts, int count, off_t offset) {
  return write_call(fd, parts, count, offset);
}
HEDWIG_CALL ssize_t pwritev2(int fd, const iovec* parts, int count, off_t offset, int) {
  return write_call(fd, parts, count, offset);
}

HEDWIG_CALL ssize_t read(int fd, void* data, std::size_t size) {
  iovec one{data, size};
  return read_call(fd, &one, 1, -1);
}
HEDWIG_CALL ssize_t pread(int fd, void* data, std::size_t size, off_t offset) {
  iovec one{data, size};
  return read_call(fd, &one, 1, offset);
}
HEDWIG_CALL ssize_t pread64(int fd, void* data, std::size_t size, off_t offset) {
  return pread(fd, data, size, offset);
}

HEDWIG_CALL int ftruncate(int fd, off_t size) noexcept { return truncate_call(fd, size); }
HEDWIG_CALL int ftruncate64(int fd, off_t size) noexcept { return truncate_call(fd, size); }
HEDWIG_CALL int fallocate(int fd, int mode, off_t offset, off_t length) {
  return allocate_call(fd, mode, offset, length);
}
HEDWIG_CALL int fallocate64(int fd, int mode, off_t offset, off_t length) {
  return allocate_call(fd, mode, offset, length);
}
HEDWIG_CALL int posix_fallocate(int fd, off_t offset, off_t length) {
  return allocate_call(fd, 0, offset, length) == 0 ? 0 : errno;
}
HEDWIG_CALL int posix_fallocate64(int fd, off_t offset, off_t length) { return posix_fallocate(fd, offset, length); }

HEDWIG_CALL int fsync(int fd) { return sync_file_call(call_fsync, fd); }
HEDWIG_CALL int fdatasync(int fd) { return sync_file_call(call_fdatasync, fd); }
HEDWIG_CALL int syncfs(int fd) noexcept {
  return find(fd).number != 0 ? sync_call(call_syncfs, 0) : static_cast<int>(::syscall(SYS_syncfs, fd));
}
/// Promises nothing after a power cut: neither metadata nor the disk's cache.
HEDWIG_CALL int sync_file_range(int, off_t, off_t, unsigned) { return 0; }

HEDWIG_CALL int rename(const char* from, const char* to) noexcept {
  return two_names(journal_kind::rename, AT_FDCWD, from, AT_FDCWD, to, 0);
}
HEDWIG_CALL int renameat(int from_folder, const char* from, int to_folder, const char* to) noexcept {
  return two_names(journal_kind::rename, from_folder, from, to_folder, to, 0);
}
HEDWIG_CALL int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) noexcept {
  return two_names(journal_kind::rename, from_folder, from, to_folder, to, static_cast<int>(flags));
}
HEDWIG_CALL int link(const char* from, const char* to) noexcept {
  return two_names(journal_kind::link, AT_FDCWD, from, AT_FDCWD, to, 0);
}
HEDWIG_CALL int linkat(int from_folder, const char* from, int to_folder, const char* to, int flags) noexcept {
  return two_names(journal_kind::link, from_folder, from, to_folder, to, flags);
}
HEDWIG_CALL int unlink(const char* path) noexcept { return unlink_call(AT_FDCWD, path, 0); }
HEDWIG_CALL int unlinkat(int folder, const char* path, int flags) noexcept { return unlink_call(folder, path, flags); }
HEDWIG_CALL int rmdir(const char* path) noexcept { return unlink_call(AT_FDCWD, path, AT_REMOVEDIR); }
HEDWIG_CALL int remove(const char* path) noexcept {
  struct stat now {};
  bool folder = ::lstat(path, &now) == 0 && S_ISDIR(now.st_mode);
  return unlink_call(AT_FDCWD, path, folder ? AT_REMOVEDIR : 0);
}
HEDWIG_CALL int mkdir(const char* path, mode_t mode) noexcept { return make_call(AT_FDCWD, path, mode); }
HEDWIG_CALL int mkdirat(int folder, const char* path, mode_t mode) noexcept { return make_call(folder, path, mode); }

HEDWIG_CALL int close(int fd) {
  guard locked;
  drop_handle(fd);
  return static_cast<int>(::syscall(SYS_close, fd));
}
HEDWIG_CALL int dup(int fd) noexcept { return copy_handle(fd, static_cast<int>(::syscall(SYS_dup, fd))); }
HEDWIG_CALL int dup2(int fd, int copy) noexcept {
  return fd == copy ? copy : copy_handle(fd, static_cast<int>(::syscall(SYS_dup3, fd, copy, 0)));
}
HEDWIG_CALL int dup3(int fd, int copy, int flags) noexcept {
  return copy_handle(fd, static_cast<int>(::syscall(SYS_dup3, fd, copy, flags)));
}
HEDWIG_CALL int fcntl(int fd, int command, ...) {
  va_list more;
  va_start(more, command);
  auto* argument = va_arg(more, void*);
  va_end(more);
  auto result = static_cast<int>(::syscall(SYS_fcntl, fd, command, argument));
  return command == F_DUPFD || command == F_DUPFD_CLOEXEC ? copy_handle(fd, result) : result;
}
HEDWIG_CALL int fcntl64(int fd, int command, ...) {
  va_list more;
  va_start(more, command);
  auto* argument = va_arg(more, void*);
  va_end(more);
  return fcntl(fd, command, argument);
}

/// Writes through a mapping would pass by the journal. SQLite's -shm is rebuilt at each start and may be mapped.
HEDWIG_CALL void* mmap(void* at, std::size_t size, int protection, int flags, int fd, off_t offset) noexcept {
  if (fd >= 0 && (flags & MAP_SHARED) != 0 && (protection & PROT_WRITE) != 0) {
    guard locked;
    if (auto known = find_handle(fd); known.number != 0 && !known.path.ends_with("-shm"))
      forbid("mmap " + known.path);
  }
  return reinterpret_cast<void*>(::syscall(SYS_mmap, at, size, protection, flags, fd, offset));
}
HEDWIG_CALL void* mmap64(void* at, std::size_t size, int protection, int flags, int fd, off_t offset) noexcept {
  return mmap(at, size, protection, flags, fd, offset);
}
