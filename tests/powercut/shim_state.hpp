// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include <sys/types.h>

#include "tests/powercut/journal.hpp"

// The state behind the interposed calls. Everything here is for any thread.
namespace hedwig::test::shim {

/// Held over an operation and its record, so that the journal's order is that of the file system.
class guard {
public:
  guard();
  ~guard();
  guard(const guard&) = delete;
  guard& operator=(const guard&) = delete;
};

/// What an open descriptor below the root refers to.
struct handle {
  std::uint64_t number = 0; ///< 0: not below the root
  bool folder = false;
  std::string path{};
};

/// The absolute path when it is below the root, else nothing.
std::string watched_path(int folder, const char* path);
handle find_handle(int fd);
void add_handle(int fd, const handle& what);
handle new_handle(int fd, std::string path, bool folder);
void drop_handle(int fd);

void append(journal_record record, std::string_view text = {}, std::string_view data = {});

/// What the plan has for one call: go on, or fail with `error`. Waits here when the call is to be held.
struct verdict {
  fault_mode mode = fault_mode::none;
  int error = 0;
};
verdict judge(std::uint32_t call);

std::uint64_t next_sync();

} // namespace hedwig::test::shim
