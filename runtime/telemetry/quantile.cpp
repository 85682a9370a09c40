// SPDX-License-Identifier: Apache-2.0
#include "runtime/telemetry/quantile.hpp"

#include "runtime/telemetry/metrics.hpp"

namespace hedwig::telemetry {

double quantile(const histogram& of, double part) noexcept {
  const double wanted = part * static_cast<double>(of.count());
  const auto bounds = of.bounds();
  double below = 0;
  for (std::size_t at = 0; at < bounds.size(); ++at) {
    const auto here = static_cast<double>(of.in_bucket(at));
    if (here > 0 && below + here >= wanted) {
      const double low = at == 0 ? 0.0 : bounds[at - 1];
      return low + (bounds[at] - low) * (wanted - below) / here;
    }
    below += here;
  }
  return of.count() == 0 || bounds.empty() ? 0.0 : bounds.back();
}

} // namespace hedwig::telemetry
