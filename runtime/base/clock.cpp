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
  static system_clock instance;
  return instance;
}

} // namespace hedwig
