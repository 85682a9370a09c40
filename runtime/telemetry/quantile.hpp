// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace hedwig::telemetry {

class histogram;

/// The value that `part` (0 to 1) of all observations do not exceed, as far as the buckets tell: evenly spread within
/// one, and the highest bound where it lies above all of them. 0 where nothing was observed. Thread-safe.
[[nodiscard]] double quantile(const histogram& of, double part) noexcept;

} // namespace hedwig::telemetry
