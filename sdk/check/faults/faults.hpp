// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace hedwig::check {

constexpr unsigned fault_writes = 1; ///< writing, allocating, making files
constexpr unsigned fault_syncs = 2;
constexpr unsigned fault_reads = 4; ///< reading and mapping

/// The switches of the library that run_apart() preloads for tests with `faults`. Legal on every thread.
class fault_switch {
public:
  /// Throws skipped when the library is not there.
  explicit fault_switch(std::string folder);
  void arm(unsigned what, int os_errno) { arm_(folder_.c_str(), what, os_errno); }
  void disarm() { arm_(folder_.c_str(), 0, 0); }
  /// Calls that were made to fail so far.
  std::uint64_t failures() const { return failures_(); }
  /// Files that were opened so that each write is a sync.
  std::uint64_t synced_opens() const { return synced_opens_(); }

private:
  std::string folder_;
  void (*arm_)(const char*, unsigned, int);
  std::uint64_t (*failures_)();
  std::uint64_t (*synced_opens_)();
};

} // namespace hedwig::check
