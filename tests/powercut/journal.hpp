// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

// What the shim (shim.cpp, loaded with LD_PRELOAD) and the programs that use it say to each other: the journal of file
// operations below one folder, and what is to fail. Both sides are of one build, so the layout may change at will.
namespace hedwig::test {

/// One record of the journal; `text_size` bytes of text and `data_size` bytes of data follow it.
enum class journal_kind : std::uint32_t {
  open = 1,   ///< a: handle; flags: journal_created, _truncated, _folder; text: path
  write,      ///< a: handle, b: offset; data
  truncate,   ///< a: handle, b: size
  allocate,   ///< a: handle, b: offset, c: length; flags: journal_keep_size, _punch
  rename,     ///< text: from, data: to
  link,       ///< text: from, data: to
  unlink,     ///< text: path
  make,       ///< text: path of the new folder
  remove,     ///< text: path of the removed folder
  sync_begin, ///< a: handle, 0 for the whole file system; c: number of the sync
  sync_end,   ///< c: number of the sync; flags: journal_failed
  mark,       ///< a: what the program says, data: its own
  forbidden,  ///< text: what the shim cannot follow, such as a writable shared mapping
};

inline constexpr std::uint32_t journal_created = 1, journal_truncated = 2, journal_folder = 4, journal_keep_size = 8,
                               journal_punch = 16, journal_failed = 32;

struct journal_record {
  journal_kind kind{};
  std::uint32_t flags = 0;
  std::uint64_t a = 0, b = 0, c = 0;
  std::uint32_t text_size = 0, data_size = 0;
};

/// The calls that can be made to fail, as bits.
enum disk_call : std::uint32_t {
  call_open = 1,
  call_write = 2,
  call_rename = 4, ///< and link
  call_fsync = 8,  ///< of a file
  call_fdatasync = 16,
  call_syncfs = 32,
  call_truncate = 64,
  call_mkdir = 128,
  call_unlink = 256,
  call_allocate = 512,
  call_read = 1024,
  call_fsync_folder = 2048,
};
inline constexpr std::uint32_t every_sync = call_fsync | call_fdatasync | call_syncfs | call_fsync_folder;
/// What a file system that has become read-only refuses.
inline constexpr std::uint32_t every_change =
    every_sync | call_write | call_rename | call_truncate | call_mkdir | call_unlink | call_allocate;

enum class fault_mode : std::uint32_t {
  none,
  fail,        ///< the call does nothing and gives `error`
  short_write, ///< half of it is written and reported; what is written next fails with `error`
  hold,        ///< the call does not come back until the plan changes
  lie,         ///< a sync reports success and covers nothing
};

/// Counts from the moment it is put in force: a new `generation` does that. The first field to be written by another
/// process is everything else, the last is `generation`.
struct fault_plan {
  fault_mode mode = fault_mode::none;
  std::uint32_t calls = 0;  ///< disk_call, or-ed
  std::uint32_t error = 0;  ///< errno
  std::uint32_t always = 0; ///< from the n-th call on, not only that one
  std::uint64_t nth = 1;    ///< 1: the next one
  std::uint64_t generation = 0;
  std::uint64_t hits = 0; ///< written by the shim: how often it has struck
};

/// What the shim offers to a program that has it loaded: the value of the function hedwig_disk.
struct disk_api {
  /// Operations below `root` (an absolute path without links) are followed from now on; nothing may be open there.
  void (*watch)(const char* root);
  /// Starts a journal in a file outside of `root`; null ends it.
  void (*record)(const char* journal);
  void (*mark)(std::uint64_t what, const void* data, std::size_t size);
  /// What is to fail from now on.
  void (*inject)(const fault_plan& plan);
  /// How often the plan in force has struck.
  std::uint64_t (*hits)();
  /// Calls of these kinds below the root since inject().
  std::uint64_t (*calls)(std::uint32_t kinds);
};

} // namespace hedwig::test
