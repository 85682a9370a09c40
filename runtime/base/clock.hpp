// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

namespace hedwig {

/// UTC; what is stored, logged and shown. May jump.
using wall_time = std::chrono::sys_time<std::chrono::nanoseconds>;
/// Never jumps; what every wait and deadline uses.
using steady_time = std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds>;

/// Both clocks behind one seam, so that tests and the simulation own time. Callable from every thread.
class clock {
public:
  virtual ~clock() = default;
  [[nodiscard]] virtual wall_time wall() const noexcept = 0;
  [[nodiscard]] virtual steady_time steady() const noexcept = 0;

  /// The machine's clocks; lives for the whole process.
  [[nodiscard]] static clock& system() noexcept;
};

} // namespace hedwig
