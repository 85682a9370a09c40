// SPDX-License-Identifier: Apache-2.0
#include "runtime/base/clock.hpp"

namespace hedwig {

namespace {

class system_clock final : public clock {
public:
  wall_time wall() const noexcept override { return std::chrono::system_clock::now(); }
  steady_time steady() const noexcept override { return std::chrono::steady_clock::now(); }
};

} // namespace

clock& clock::system() noexcept {
  // Never destroyed: threads that outlive main() may still ask for the time.
  static auto* const instance = new system_clock;
  return *instance;
}

} // namespace hedwig
